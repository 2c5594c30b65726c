//! Commands that run at intervals: tables of cron and anacron, and what their commands call. Folders of scripts are handled as
//! hooks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::command::{Follower, Run};
use super::finding::{Finding, MOST};
use super::script::Subject;
use super::told::Source;
use super::tree::Tree;

/// The fields of a table's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Time, user, command.
    System,
    /// Time, command.
    User,
    /// Days, minutes, name, command.
    Anacron,
}

const TABLES: [(&str, Form); 8] = [
    ("/etc/crontab", Form::System),
    ("/etc/anacrontab", Form::Anacron),
    ("/etc/cron.d", Form::System),
    ("/var/spool/cron", Form::User),
    ("/var/spool/cron/crontabs", Form::User),
    ("/var/spool/cron/tabs", Form::User),
    ("/var/spool/fcron", Form::User),
    ("/etc/crontabs", Form::User),
];

/// Examines all tables.
pub(crate) fn check(tree: &Tree, follower: &Follower<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, form) in TABLES {
        let place = Path::new(place);
        let mut paths: Vec<PathBuf> = vec![place.to_owned()];
        paths.extend(tree.list(place).into_iter().map(|name| place.join(name)));
        for path in paths {
            let source = Source { what: "a crontab line", path: &path, line: None };
            let Some(text) = source.text(tree.look_into(&path), &mut findings) else { continue };
            findings.extend(table(follower, &path, &text, form));
        }
    }
    findings
}

fn table(follower: &Follower<'_>, path: &Path, text: &[u8], form: Form) -> Vec<Finding> {
    let source = Source { what: "a crontab line", path, line: None };
    let mut findings = source.lines(text, Subject::Named);
    let found: Vec<_> =
        findings.iter().filter_map(|finding| finding.place.as_ref()?.line).collect();
    let mut variables = BTreeMap::new();
    let text = String::from_utf8_lossy(text);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((name, value)) = assignment(line) {
            variables.insert(name, value);
            continue;
        }
        let (Some(command), false) = (command(line, form), found.contains(&number)) else {
            continue;
        };
        let run = Run { variables: &variables, ..Run::new() };
        // Text after a percent sign is the command's stdin.
        let command = command.replace("\\%", "\u{2}");
        let shell = variables.get("SHELL").map_or("/bin/sh", String::as_str);
        let command = command.split('%').next().unwrap_or_default().replace('\u{2}', "%");
        let does = if shell.ends_with("sh") {
            follower.command(command.as_bytes(), run)
        } else {
            follower.command(format!("{shell} -c '{command}'").as_bytes(), run)
        };
        let source = Source { what: "a crontab line", path, line: Some(number) };
        findings.extend(source.findings(follower, does));
        if findings.len() >= MOST {
            break;
        }
    }
    findings
}

/// `NAME = VALUE`
fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim().trim_matches(['"', '\'']);
    let is_name =
        !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    is_name.then(|| (name.to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
}

/// The command in a line.
fn command(line: &str, form: Form) -> Option<&str> {
    let fields = match (form, line.starts_with('@')) {
        (Form::System, true) => 2,
        (Form::User, true) => 1,
        (Form::System, false) => 6,
        (Form::User, false) => 5,
        (Form::Anacron, _) => 3,
    };
    let mut rest = line;
    for _ in 0..fields {
        let end = rest.find(char::is_whitespace)?;
        rest = rest[end..].trim_start();
    }
    (!rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_follows_the_time_and_the_user() {
        for (line, form, expected) in [
            ("* * * * * root /x  y", Form::System, Some("/x  y")),
            ("@reboot root /x", Form::System, Some("/x")),
            ("*/5 1 2 3 4 /x", Form::User, Some("/x")),
            ("@hourly /x", Form::User, Some("/x")),
            ("7 25 weekly /x", Form::Anacron, Some("/x")),
            ("* * *", Form::User, None),
        ] {
            assert_eq!(command(line, form), expected, "{line}");
        }
    }
}
