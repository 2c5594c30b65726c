//! Rules, units, scripts and agents as distributions and hypervisors ship them, rewritten for this test.
//! `corpus/NAME.case` is a root and the expected answer.

use std::fs;
use std::path::Path;

use crate::kit::Root;

/// A file of the corpus.
struct Case {
    about: String,
    expect: String,
    /// The expected findings, of the answer's level.
    says: Option<String>,
    root: Root,
}

/// Reads a case: lines `key: value`, then files, each after a line `--- PATH`, `--- elf PATH` or `--- link PATH`.
fn read(text: &str) -> Case {
    let (head, files) = text.split_once("\n--- ").expect("a file behind ---");
    let key = |name: &str| {
        let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(str::to_owned)
    };
    let root = Root::new();
    for file in files.split("\n--- ") {
        let (name, content) = file.split_once('\n').expect("a name, and a content");
        match name.split_once(' ') {
            Some(("elf", path)) => root.program(path, content),
            Some(("link", path)) => root.link(path, content.trim()),
            Some((kind, _)) => panic!("{kind} is not a kind of file"),
            // The last line needs its line end.
            None => root.file(name, &format!("{}\n", content.trim_end_matches('\n'))),
        }
    }
    let needed = |name| key(name).unwrap_or_else(|| panic!("no {name}: {head}"));
    Case { about: needed("about"), expect: needed("expect"), says: key("says"), root }
}

#[test]
fn files_of_distributions_and_hypervisors_get_the_expected_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/corpus");
    let mut wrong = Vec::new();
    let mut answers = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("a file").path();
        let text = fs::read_to_string(&path).expect("it is text");
        let case = read(&text);
        let seen = case.root.seen();
        let told = seen.findings.iter().filter(|finding| finding["level"] == *case.expect);
        let mut told = told.flat_map(|finding| [&finding["what"], &finding["where"]["file"]]);
        let says = case.says.as_ref().is_none_or(|says| {
            told.any(|told| told.as_str().is_some_and(|told| told.contains(says)))
        });
        if seen.answer != case.expect || !says {
            wrong.push(format!(
                "{} ({}): expected {}, {:?}; got {}: {:#?}",
                path.file_name().unwrap().display(),
                case.about,
                case.expect,
                case.says,
                seen.answer,
                seen.findings
                    .iter()
                    .filter(|finding| finding["level"] != "note")
                    .collect::<Vec<_>>()
            ));
        }
        *answers.entry(case.expect).or_insert(0) += 1;
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(answers.values().sum::<i32>() >= 25, "{answers:?}");
    assert_eq!(answers.len(), 3, "the corpus has a case for each answer: {answers:?}");
}
