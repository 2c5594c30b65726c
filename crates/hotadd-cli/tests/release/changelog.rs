//! CHANGELOG.md has the form of Keep a Changelog 1.1, which tools read.

use crate::{VERSION, read};

/// The kinds of changes, in the order in which they stand.
const KINDS: [&str; 6] = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

/// What is wrong with the form of a changelog of this version, or nothing.
fn fault(text: &str, version: &str) -> Option<String> {
    let mut lines = text.lines();
    if lines.next() != Some("# Changelog") {
        return Some("it does not begin with `# Changelog`".to_owned());
    }
    let mut releases: Vec<String> = Vec::new();
    // Where the line is: the kind of changes, and how many there are.
    let mut kind: Option<(usize, usize)> = None;
    let empty = |kind: Option<(usize, usize)>| {
        kind.filter(|(_, entries)| *entries == 0)
            .map(|(kind, _)| format!("`{}` has no entry", KINDS[kind]))
    };
    for line in lines {
        if let Some(heading) = line.strip_prefix("### ") {
            if let Some(fault) = empty(kind) {
                return Some(fault);
            }
            let Some(next) = KINDS.iter().position(|kind| *kind == heading) else {
                return Some(format!("`{heading}` is not one of {KINDS:?}"));
            };
            if releases.is_empty() || kind.is_some_and(|(kind, _)| kind >= next) {
                return Some(format!("`{heading}` stands at the wrong place, or twice"));
            }
            kind = Some((next, 0));
        } else if let Some(heading) = line.strip_prefix("## ") {
            if let Some(fault) = empty(kind.take()) {
                return Some(fault);
            }
            let release = heading.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            match release {
                Some(("Unreleased", "")) if releases.is_empty() => {}
                Some((_, date)) if is_date(date) && !releases.is_empty() => {}
                _ => {
                    return Some(format!(
                        "`{heading}` is no `[Unreleased]` at the top, and no `[1.2.3] - 2027-01-31`"
                    ));
                }
            }
            releases.push(release.unwrap().0.to_owned());
        } else if line.starts_with("- ") {
            match &mut kind {
                Some((_, entries)) => *entries += 1,
                None => return Some(format!("this entry has no kind: {line}")),
            }
        }
    }
    if let Some(fault) = empty(kind) {
        return Some(fault);
    }
    let unlinked =
        releases.iter().find(|release| !text.contains(&format!("\n[{release}]: https://")));
    if let Some(release) = unlinked {
        return Some(format!("[{release}] has no link at the end"));
    }
    // The latest release is this version, or no version was released.
    match releases.get(1) {
        _ if releases.is_empty() => Some("it has no `## [Unreleased]`".to_owned()),
        Some(latest) if latest != version => {
            Some(format!("the latest is {latest}, and the packages are {version}"))
        }
        _ => None,
    }
}

/// Whether this is ` - 2027-01-31`.
fn is_date(text: &str) -> bool {
    let Some(date) = text.strip_prefix(" - ") else { return false };
    let parts: Vec<_> = date.split('-').collect();
    parts.iter().map(|part| part.len()).eq([4, 2, 2])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[test]
fn the_changelog_has_the_usual_form() {
    assert_eq!(fault(&read("CHANGELOG.md"), VERSION), None);
}

#[test]
fn a_changelog_of_another_form_is_noticed() {
    let good = "# Changelog\n\n## [Unreleased]\n\n### Added\n- one\n\n### Fixed\n- two\n\n## [0.2.0] - 2027-01-31\n\n### Removed\n- three\n\n\
                [Unreleased]: https://example.org\n[0.2.0]: https://example.org\n";
    assert_eq!(fault(good, "0.2.0"), None);
    for (from, to, expected) in [
        ("# Changelog", "# Changes", "does not begin"),
        ("### Added", "### New", "is not one of"),
        ("### Added", "### Security", "wrong place"),
        ("### Fixed", "### Added", "or twice"),
        ("- one", "one", "has no entry"),
        ("- three\n", "", "has no entry"),
        ("### Added\n", "", "no kind"),
        ("[0.2.0] - 2027-01-31", "0.2.0, January", "is no"),
        ("[0.2.0]: ", "", "no link"),
        ("## [Unreleased]\n", "## [0.2.0] - 2027-01-31\n", "is no"),
    ] {
        let found = fault(&good.replacen(from, to, 1), "0.2.0").unwrap_or_default();
        assert!(found.contains(expected), "{from:?} as {to:?} gives: {found:?}");
    }
    assert!(fault(good, "0.3.0").unwrap().contains("the latest is 0.2.0"));
}
