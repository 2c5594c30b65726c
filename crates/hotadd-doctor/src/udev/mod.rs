//! udev's rules: which files take effect, and which of their lines bring processors online.

mod arch;
pub(crate) mod cover;
mod flow;
pub(crate) mod glob;
mod rules;
mod shadow;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use self::flow::{Offence, World};
use self::rules::Rule;
use super::command::{Does, Follower, Run};
use super::finding::{Finding, Level, MOST, excerpt};
use super::told::WHY_UNCLEAR;
use super::tree::{Content, Tree};

/// The folders of rules. A file replaces those of the same name in later folders.
pub(crate) const FOLDERS: [&str; 5] = [
    "/etc/udev/rules.d",
    "/run/udev/rules.d",
    "/usr/local/lib/udev/rules.d",
    "/usr/lib/udev/rules.d",
    "/lib/udev/rules.d",
];

/// The folders in which programs are looked up that rules name without a folder.
const PROGRAMS: [&str; 10] = [
    "/usr/lib/udev",
    "/lib/udev",
    "/usr/local/lib/udev",
    "/etc/udev",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
];

const WHY: &str = "a processor that is plugged in runs before any party was asked (A1), and counts as \
 joined without agreement (Q3)";

/// A rules file.
#[derive(Clone, Debug)]
pub(crate) struct RuleFile {
    pub(crate) path: PathBuf,
    pub(crate) rules: Vec<Rule>,
    pub(crate) offences: Vec<Offence>,
}

/// The paths of all rules files by name, in order of precedence. Masked names are included.
pub(crate) fn names(tree: &Tree) -> BTreeMap<OsString, Vec<PathBuf>> {
    let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for folder in folders(tree) {
        for name in tree.list(folder) {
            let hidden = name.as_bytes().starts_with(b".");
            if !hidden && Path::new(&name).extension() == Some(OsStr::new("rules")) {
                let path = folder.join(&name);
                names.entry(name).or_default().push(path);
            }
        }
    }
    names
}

/// The folders that exist, each once: `/lib` is often a link to `/usr/lib`.
fn folders(tree: &Tree) -> Vec<&'static Path> {
    let mut seen = Vec::new();
    let mut folders: Vec<_> = FOLDERS.iter().map(Path::new).collect();
    folders.retain(|folder| {
        let id = tree.id(folder);
        let new = id.is_some() && !seen.contains(&id);
        seen.push(id);
        new
    });
    folders
}

/// The index of the folder that has a file, 0 being the one with the highest precedence. None for a file that is not a rules file.
pub(crate) fn rank(path: &Path) -> Option<usize> {
    let rules = path.extension() == Some(OsStr::new("rules"));
    FOLDERS.iter().position(|folder| rules && path.parent() == Some(Path::new(folder)))
}

/// Whether a file is a shadow that `hotadd doctor` has written.
pub(crate) fn is_shadow(tree: &Tree, path: &Path) -> bool {
    let Content::Text(text) = tree.look_into(path) else { return false };
    shadow::header(&text).is_some()
}

/// Follows the rules of a file.
pub(crate) fn judge(tree: &Tree, follower: &Follower<'_>, path: &Path, text: &[u8]) -> RuleFile {
    let rules = rules::parse(text);
    let world = World {
        dmi: &|name| {
            let file = Path::new("/sys/class/dmi/id").join(OsStr::from_bytes(name));
            // The name must not lead out of the folder.
            let inside = !name.contains(&b'/');
            inside.then(|| tree.read(&file)).flatten().map(|value| value.trim_ascii().to_vec())
        },
        arch: arch::of(tree),
        runs: &|text, subject| {
            follower.command(text, Run { subject, folders: &PROGRAMS, ..Run::new() })
        },
    };
    let offences = flow::follow(&rules, &world);
    RuleFile { path: path.to_owned(), rules, offences }
}

impl RuleFile {
    /// The first line that brings processors online.
    pub(crate) fn online_line(&self) -> Option<usize> {
        let mut offences = self.offences.iter();
        let offence = offences.find(|offence| matches!(offence.does, Does::Online(_)))?;
        Some(self.rules[offence.rule].lines.0)
    }
}

/// Follows the rules of a file, on a machine without any other file.
#[cfg(fuzzing)]
pub(crate) fn judge_alone(text: &[u8]) -> (Vec<Rule>, Vec<Offence>) {
    let rules = rules::parse(text);
    let runs = |text: &[u8], subject| match super::script::scan(text, subject).is_empty() {
        true => Does::Else,
        false => Does::Online(None),
    };
    let offences = flow::follow(&rules, &World { dmi: &|_| None, arch: None, runs: &runs });
    (rules, offences)
}

/// Examines all files that take effect.
pub(crate) fn check(tree: &Tree, follower: &Follower<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for paths in names(tree).values() {
        let Some((path, others)) = paths.split_first() else { continue };
        // A file that is masked by a link to /dev/null cannot be read, and has no rules.
        let Some(text) = tree.read(path) else { continue };
        let file = judge(tree, follower, path, &text);
        findings.extend(age(tree, &text, path, others.first()));
        findings.extend(
            file.offences
                .iter()
                .take(MOST)
                .flat_map(|offence| findings_of(follower, &file, offence)),
        );
        let odd = file.rules.iter().filter(|rule| is_odd(rule));
        findings.extend(odd.take(MOST).map(|rule| odd_rule(path, rule)));
    }
    findings
}

/// The units that rules make systemd start.
pub(crate) fn wanted_units(tree: &Tree) -> Vec<String> {
    let mut units = Vec::new();
    for paths in names(tree).values() {
        let text = paths.first().and_then(|path| tree.read(path)).unwrap_or_default();
        let tokens = rules::parse(&text).into_iter().flat_map(|rule| rule.tokens);
        let wants = tokens.filter(|token| {
            token.is("ENV")
                && token.attribute.as_deref() == Some(b"SYSTEMD_WANTS")
                && !token.op.compares()
        });
        for token in wants {
            let value = String::from_utf8_lossy(&token.value).into_owned();
            units.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    units
}

/// For a shadow: a finding if the file that it replaces has changed.
fn age(tree: &Tree, text: &[u8], path: &Path, original: Option<&PathBuf>) -> Option<Finding> {
    let header = shadow::header(text)?;
    let note = |what: String| Finding::new(Level::Note, what).at(path, 1);
    let Some(original) = original else {
        let what = format!("a shadow of {}, which no longer exists", header.original.display());
        return Some(
            note(what).why("it overrides nothing").fix("delete it, then udevadm control --reload"),
        );
    };
    let now = tree.read(original).unwrap_or_default();
    if shadow::checksum_of(&now) == header.checksum {
        return None;
    }
    let what =
        format!("a shadow is out of date: {} has changed since it was written", original.display());
    let fix = if header.intact {
        let folder = path.parent().unwrap_or(path).display();
        format!("hotadd doctor --shadow {folder}, then udevadm control --reload")
    } else {
        "the shadow was edited: update it by hand".to_owned()
    };
    Some(note(what).why("the other rules of the distribution's file may have changed").fix(fix))
}

fn odd_rule(path: &Path, rule: &Rule) -> Finding {
    Finding::new(Level::CannotTell, format!("a rule cannot be parsed: {}", excerpt(&rule.text)))
        .at(path, rule.lines.0)
        .why("it mentions a processor's online file; udev ignores rules that it cannot parse")
        .fix("correct or remove the rule")
}

/// Whether a line that is not a valid rule names processors and their switch.
fn is_odd(rule: &Rule) -> bool {
    let text = String::from_utf8_lossy(&rule.text);
    rule.tokens.is_empty() && text.contains("cpu") && text.contains("online")
}

fn findings_of(follower: &Follower<'_>, file: &RuleFile, offence: &Offence) -> Vec<Finding> {
    let rule = &file.rules[offence.rule];
    let on = match &offence.actions[..] {
        [] => "on an event of another device".to_owned(),
        actions => format!("on {}", actions.join(", ")),
    };
    let what = match &offence.does {
        Does::Unclear(doubts) => {
            let doubts = follower.news(doubts.clone()).into_iter();
            let told = doubts.map(|doubt| {
                let what = format!(
                    "a udev rule runs a command that cannot be analysed, {on}: {}",
                    doubt.what
                );
                Finding::new(Level::CannotTell, what)
                    .at(&file.path, rule.lines.0)
                    .why(WHY_UNCLEAR)
                    .fix(doubt.fix)
            });
            return told.collect();
        }
        Does::Online(Some((script, line))) => format!(
            "a udev rule runs {}, which brings processors online in line {line}, {on}",
            script.display()
        ),
        Does::Online(None) | Does::Else => {
            let tokens = offence.tokens.iter().map(|index| {
                let span = rule.tokens[*index].span.clone();
                excerpt(&rule.text[span])
            });
            let tokens = tokens.collect::<Vec<_>>().join(", ");
            format!("a udev rule brings processors online {on}: {tokens}")
        }
    };
    let finding = Finding::new(Level::Problem, what).at(&file.path, rule.lines.0);
    vec![finding.why(WHY).fix(fix(file, rule))]
}

fn fix(file: &RuleFile, rule: &Rule) -> String {
    if file.path.starts_with(FOLDERS[0]) {
        let lines = match rule.lines {
            (first, last) if first == last => format!("line {first}"),
            (first, last) => format!("lines {first} to {last}"),
        };
        return format!("put # before {lines}, then udevadm control --reload");
    }
    "hotadd doctor --shadow /etc/udev/rules.d, then udevadm control --reload".to_owned()
}
