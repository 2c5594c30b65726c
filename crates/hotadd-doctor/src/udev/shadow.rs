//! The text of a shadow: a rules file that replaces one of a distribution, without the rules that bring processors online.
//!
//! Its first line names the original, with checksums of the original and of itself. The checksums show whether the original has
//! changed, or whether the shadow was edited.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::RuleFile;
use super::flow::Offence;
use super::rules::{Rule, Token};
use crate::command::Does;

const MARK: &[u8] = b"# hotadd doctor, shadow 1: ";

/// The contents of a shadow's first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The file that it replaces.
    pub(crate) original: PathBuf,
    /// The original's checksum when the shadow was written.
    pub(crate) checksum: u32,
    /// The shadow was not edited.
    pub(crate) intact: bool,
}

/// Reads a shadow's first line. None for any other file.
pub(crate) fn header(text: &[u8]) -> Option<Header> {
    let (first, rest) = text.split_at(text.iter().position(|&byte| byte == b'\n')? + 1);
    let said = first.strip_suffix(b"\n")?.strip_prefix(MARK)?;
    let mut parts = said.splitn(3, |&byte| byte == b' ');
    let mut number = || u32::from_str_radix(std::str::from_utf8(parts.next()?).ok()?, 16).ok();
    let (checksum, own) = (number()?, number()?);
    let original = PathBuf::from(OsStr::from_bytes(parts.next()?));
    Some(Header { original, checksum, intact: checksum_of(rest) == own })
}

pub(crate) fn checksum_of(text: &[u8]) -> u32 {
    crc32fast::hash(text)
}

/// Whether a file has a rule that brings processors online.
pub(crate) fn is_needed(file: &RuleFile) -> bool {
    file.offences.iter().any(is_online)
}

fn is_online(offence: &Offence) -> bool {
    matches!(offence.does, Does::Online(_))
}

/// Writes the shadow of a file.
pub(crate) fn made(file: &RuleFile, text: &[u8]) -> Vec<u8> {
    let mut body = b"# It overrides that file. The rules that bring processors online are commented out: hotadd daemon starts\n\
        # processors once all parties have agreed. hotadd doctor does not overwrite this file after it was edited.\n"
        .to_vec();
    let mut offences = file.offences.iter().filter(|offence| is_online(offence)).peekable();
    for (number, line) in (1..).zip(text.split_inclusive(|&byte| byte == b'\n')) {
        let Some(offence) = offences.peek() else {
            body.extend_from_slice(line);
            continue;
        };
        let rule = &file.rules[offence.rule];
        let (first, last) = rule.lines;
        if number < first {
            body.extend_from_slice(line);
            continue;
        }
        if number == first {
            body.extend_from_slice(
                b"# hotadd doctor: this brings processors online before any party was asked.\n",
            );
        }
        body.extend_from_slice(b"# ");
        body.extend_from_slice(line);
        if number == last {
            if !line.ends_with(b"\n") {
                body.push(b'\n');
            }
            body.extend_from_slice(&remainder(rule, offence));
            offences.next();
        }
    }
    let own = checksum_of(&body);
    let mut shadow = MARK.to_vec();
    shadow.extend_from_slice(format!("{:08x} {own:08x} ", checksum_of(text)).as_bytes());
    shadow.extend_from_slice(file.path.as_os_str().as_bytes());
    shadow.push(b'\n');
    shadow.extend_from_slice(&body);
    shadow
}

/// The other effects of a rule, as a line; empty if there are none.
fn remainder(rule: &Rule, offence: &Offence) -> Vec<u8> {
    // If a program's output decides, it is unknown what holds without it, so only labels stay: jumps to the rule must still
    // arrive.
    let asks =
        offence.tokens.iter().any(|&index| !["ATTR", "RUN"].contains(&&*rule.tokens[index].key));
    let stays = |token: &Token| !asks || token.is("LABEL");
    let rest = rule.tokens.iter().enumerate();
    let rest = rest.filter(|(index, token)| !offence.tokens.contains(index) && stays(token));
    let rest: Vec<_> = rest.map(|(_, token)| token).collect();
    if rest.iter().all(|token| token.op.compares()) {
        return Vec::new();
    }
    let mut line = Vec::new();
    for token in rest {
        if !line.is_empty() {
            line.extend_from_slice(b", ");
        }
        line.extend_from_slice(&rule.text[token.span.clone()]);
    }
    line.push(b'\n');
    line
}

/// Whether a path can be written into a shadow's first line.
pub(crate) fn can_be_named(path: &Path) -> bool {
    !path.as_os_str().as_bytes().iter().any(u8::is_ascii_control)
}

#[cfg(test)]
mod tests {
    use super::super::flow::{World, follow};
    use super::super::rules::parse;
    use super::*;
    use crate::script;
    use proptest::prelude::*;

    fn judged(text: &[u8]) -> RuleFile {
        let rules = parse(text);
        let world = World {
            arch: None,
            dmi: &|_| None,
            runs: &|command, subject| match script::scan(command, subject).is_empty() {
                true => Does::Else,
                false => Does::Online(None),
            },
        };
        let offences = follow(&rules, &world);
        RuleFile { path: PathBuf::from("/usr/lib/udev/rules.d/40-x.rules"), rules, offences }
    }

    /// The rules that udev reads in a shadow.
    fn rules_of(text: &str) -> Vec<String> {
        let shadow = made(&judged(text.as_bytes()), text.as_bytes());
        parse(&shadow).iter().map(|rule| String::from_utf8_lossy(&rule.text).into_owned()).collect()
    }

    #[test]
    fn a_shadow_keeps_other_rules() {
        let text = "A=\"1\"\nSUBSYSTEM==\"cpu\", \\\n ATTR{online}=\"1\"\nB=\"2\"";
        assert_eq!(rules_of(text), ["A=\"1\"", "B=\"2\""]);
    }

    #[test]
    fn a_shadow_keeps_the_other_effects_and_the_jumps_of_a_rule() {
        let text = "LABEL=\"x\", SUBSYSTEM==\"cpu\", ATTR{online}=\"1\", TAG+=\"t\", GOTO=\"end\"\nLABEL=\"end\"\n";
        let rest = "LABEL=\"x\", SUBSYSTEM==\"cpu\", TAG+=\"t\", GOTO=\"end\"";
        assert_eq!(rules_of(text), [rest, "LABEL=\"end\""]);
        let asks = "LABEL=\"x\", SUBSYSTEM==\"cpu\", PROGRAM=\"/bin/chcpu -e 1\", TAG+=\"t\"\n";
        assert_eq!(
            rules_of(asks),
            ["LABEL=\"x\""],
            "what the program would have said is not known"
        );
    }

    #[test]
    fn the_header_of_a_shadow_names_its_original_and_reveals_edits() {
        let text = b"SUBSYSTEM==\"cpu\", ATTR{online}=\"1\"";
        let mut shadow = made(&judged(text), text);
        let said = header(&shadow).expect("a shadow has a header");
        assert_eq!(said.original, Path::new("/usr/lib/udev/rules.d/40-x.rules"));
        assert_eq!((said.checksum, said.intact), (checksum_of(text), true));
        shadow.extend_from_slice(b"A=\"1\"\n");
        assert!(!header(&shadow).unwrap().intact, "the edit is detected");
        assert_eq!(header(text), None);
        assert_eq!(header(b"# hotadd doctor, shadow 1: x y z\n"), None);
    }

    proptest! {
        #[test]
        fn no_shadow_brings_processors_online(text in "(SUBSYSTEM==\"cpu\"|ACTION==\"add\"|ATTR\\{online\\}=\"1\"|LABEL=\"a\"|GOTO=\"a\"|RUN\\+=\"chcpu -e 1\"|TAG=\"t\"|, ?|\\\\\n|\n|# ){0,24}") {
            let shadow = made(&judged(text.as_bytes()), text.as_bytes());
            prop_assert!(!is_needed(&judged(&shadow)), "{}", String::from_utf8_lossy(&shadow));
            prop_assert!(header(&shadow).unwrap().intact);
        }

        #[test]
        fn any_first_line_is_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..80)) {
            header(&[MARK, &text].concat());
        }
    }
}
