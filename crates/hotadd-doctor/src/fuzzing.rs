//! The entry points of the fuzz targets.

use super::script::{self, Subject};
use super::udev;

/// Checks a udev rules file.
///
/// # Panics
/// If a part that is found is outside of its rule.
pub fn rules(file: &[u8]) {
    let lines = file.split(|byte| *byte == b'\n').count();
    let (rules, offences) = udev::judge_alone(file);
    for offence in offences {
        let rule = rules.get(offence.rule).expect("a rule of the file");
        assert!(offence.tokens.iter().all(|token| *token < rule.tokens.len()), "{offence:?}");
    }
    for rule in rules {
        let (first, last) = rule.lines;
        assert!(1 <= first && first <= last && last <= lines, "lines {first} to {last} of {lines}");
        for token in &rule.tokens {
            assert!(
                rule.text.get(token.span.clone()).is_some(),
                "{token:?} is outside of its rule"
            );
        }
    }
}

/// Checks a script, a command line or a settings file.
///
/// # Panics
/// If a line that is found is not in the text, or cannot be shown to people.
pub fn shell(text: &[u8]) {
    let shown = String::from_utf8_lossy(text);
    // Parsing must end for every text.
    drop(super::shell::parse(&shown));
    let lines = shown.lines().count();
    for subject in [Subject::Named, Subject::Processor, Subject::Device] {
        for hit in script::scan(text, subject) {
            assert!((1..=lines).contains(&hit.line), "line {} of {lines}", hit.line);
            assert!(!hit.text.chars().any(char::is_control), "{:?} is shown to people", hit.text);
        }
    }
}
