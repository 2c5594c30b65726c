//! systemd's units: those that bring processors online, and whether they are started.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::command::{Does, Doubt, Follower, Run};
use super::finding::{Finding, Level, MOST, excerpt};
use super::shell::UNKNOWN;
use super::told::WHY_UNCLEAR;
use super::tree::Tree;

/// The folders of units, in order of precedence.
const FOLDERS: [&str; 11] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    TRANSIENT,
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// The folder of transient units. A program makes them for the time that it runs.
const TRANSIENT: &str = "/run/systemd/transient";

/// A setting of a unit, with its position.
#[derive(Debug)]
struct Setting {
    key: String,
    value: String,
    file: PathBuf,
    line: usize,
}

/// The folders in which D-Bus finds what to start for a name.
const ACTIVATED: [&str; 3] = [
    "/usr/share/dbus-1/system-services",
    "/usr/local/share/dbus-1/system-services",
    "/etc/dbus-1/system-services",
];

/// The units that D-Bus starts when their names are called.
pub(crate) fn activated(tree: &Tree) -> Vec<String> {
    let mut units = Vec::new();
    for folder in ACTIVATED.map(Path::new) {
        for name in tree.list(folder) {
            let text = tree.read(&folder.join(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let named = text.lines().filter_map(|line| line.trim().strip_prefix("SystemdService="));
            units.extend(named.map(|unit| unit.trim().to_owned()));
        }
    }
    units
}

/// All units of a tree.
#[derive(Debug, Default)]
pub(crate) struct Units {
    settings: BTreeMap<String, Vec<Setting>>,
    /// The names of the units that something starts; for an instance, its template's name.
    started: BTreeSet<String>,
    /// Other names of units.
    aliases: BTreeMap<String, String>,
    /// systemd starts the services of this system.
    in_charge: bool,
}

impl Units {
    /// Reads all units that take effect, with their drop-ins.
    ///
    /// `wanted` are the units that something else starts.
    pub(crate) fn read(tree: &Tree, wanted: impl Iterator<Item = String>) -> Self {
        let started = wanted.map(|name| template(&name)).collect();
        let init = tree.real(Path::new("/sbin/init")).is_some_and(|init| init.ends_with("systemd"));
        let runs = tree.kind(Path::new("/run/systemd/system")) == Some(FileType::Directory);
        let mut units = Self { started, in_charge: init || runs, ..Self::default() };
        let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
        let mut drops: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
        let mut seen = Vec::new();
        for folder in FOLDERS.map(Path::new) {
            let id = tree.id(folder);
            if id.is_none() || seen.contains(&id) {
                continue;
            }
            seen.push(id);
            for name in tree.list(folder) {
                let path = folder.join(&name);
                let name = name.to_string_lossy().into_owned();
                if let Some(unit) = name.strip_suffix(".d") {
                    let drops = drops.entry(unit.to_owned()).or_default();
                    for file in tree.list(&path) {
                        if Path::new(&file).extension() == Some(OsStr::new("conf")) {
                            let key = file.to_string_lossy().into_owned();
                            drops.entry(key).or_insert_with(|| path.join(file));
                        }
                    }
                } else if [".wants", ".requires", ".upholds"].iter().any(|end| name.ends_with(end))
                {
                    let links = tree.list(&path);
                    units
                        .started
                        .extend(links.iter().map(|unit| template(&unit.to_string_lossy())));
                } else if is_unit(&name) && tree.kind(&path) == Some(FileType::Directory) {
                    continue;
                } else if is_unit(&name) {
                    if folder == Path::new(TRANSIENT) {
                        units.started.insert(template(&name));
                    }
                    names.entry(name).or_insert(path);
                }
            }
        }
        for (name, path) in names {
            // An alias. The unit itself is listed under its own name.
            let target = tree.link(&path);
            let other = target.as_ref().and_then(|target| target.file_name());
            if let Some(other) = other.map(|other| other.to_string_lossy().into_owned())
                && other != name
                && is_unit(&other)
            {
                units.aliases.insert(name, other);
                continue;
            }
            // Masked.
            if target.is_some_and(|target| target == Path::new("/dev/null")) {
                units.settings.insert(name, Vec::new());
                continue;
            }
            let mut settings = Vec::new();
            let own = dropped_in(&name);
            let own = own.iter().filter_map(|name| drops.get(name)).flat_map(BTreeMap::values);
            for file in [&path].into_iter().chain(own) {
                add(&mut settings, file, &tree.read(file).unwrap_or_default());
            }
            units.settings.insert(name, settings);
        }
        units.follow();
        units
    }

    /// Whether there is a unit of this name that is not masked.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.settings.get(name).is_some_and(|settings| !settings.is_empty())
    }

    /// Whether something starts a unit.
    pub(crate) fn is_started(&self, name: &str) -> bool {
        self.started.contains(&template(name))
    }

    /// Adds the units that a started unit or target names.
    fn follow(&mut self) {
        let pulls = [
            "Wants",
            "Requires",
            "BindsTo",
            "Upholds",
            "Requisite",
            "OnFailure",
            "OnSuccess",
            "Unit",
            "Service",
            "Sockets",
        ];
        let targets = self.settings.keys().filter(|name| name.ends_with(".target"));
        let mut open: Vec<_> = self.started.iter().chain(targets).cloned().collect();
        while let Some(name) = open.pop() {
            if let Some(unit) = self.aliases.get(&name).map(|unit| template(unit))
                && self.started.insert(unit.clone())
            {
                open.push(unit);
            }
            let Some(settings) = self.settings.get(&name) else { continue };
            let pulled = settings.iter().filter(|setting| pulls.contains(&&*setting.key));
            let mut next: Vec<_> =
                pulled.flat_map(|setting| setting.value.split_whitespace()).map(template).collect();
            if let Some((stem, "timer" | "path" | "socket")) = name.rsplit_once('.') {
                next.push(format!("{stem}.service"));
            }
            for unit in next {
                if self.started.insert(unit.clone()) {
                    open.push(unit);
                }
            }
        }
    }

    /// Findings for units that bring processors online, or may do so.
    pub(crate) fn check(&self, follower: &Follower<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, settings) in &self.settings {
            let variables = variables(settings);
            let run = Run { variables: &variables, ..Run::new() };
            let commands = settings.iter().filter(|setting| setting.key.starts_with("Exec"));
            for setting in commands {
                // In systemd two dollar signs stand for one. A variable may come from an environment file, which is not read.
                let text = specified(&setting.value.replace("$$", "$"));
                let told = match follower.command(text.as_bytes(), run) {
                    Does::Online(script) => vec![self.finding(name, setting, script)],
                    Does::Unclear(doubts) if self.is_started(name) => {
                        let doubts = follower.news(doubts).into_iter();
                        doubts.map(|doubt| unclear(name, setting, doubt)).collect()
                    }
                    Does::Unclear(_) | Does::Else => continue,
                };
                findings.extend(told);
            }
        }
        let elsewhere = self.settings.iter().filter(|(name, _)| self.is_started(name));
        for (name, setting) in
            elsewhere.flat_map(|(name, settings)| settings.iter().map(move |one| (name, one)))
        {
            if ["RootDirectory", "RootImage"].contains(&&*setting.key) && setting.value != "/" {
                let what = format!("runs programs in another root ({})", setting.value);
                let fix = format!("check the contents of {}", setting.value);
                findings.extend(
                    follower
                        .news(vec![Doubt { what: format!("{name} {what}"), fix }])
                        .into_iter()
                        .map(|doubt| unclear(name, setting, doubt)),
                );
            }
        }
        findings.sort_by_key(|finding| finding.level);
        findings.truncate(MOST);
        findings
    }

    /// The commands of a unit, in all its settings.
    pub(crate) fn starts(&self, name: &str) -> impl Iterator<Item = &str> {
        let settings = self.settings.get(name).into_iter().flatten();
        settings.filter(|setting| setting.key.starts_with("Exec")).map(|setting| &*setting.value)
    }

    /// The file of a unit.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        self.settings.get(name)?.first().map(|setting| setting.file.clone())
    }

    /// Whether systemd has a unit that replaces an init script.
    pub(crate) fn replaces(&self, script: &Path) -> bool {
        let name = script.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".sh").unwrap_or(&name);
        let link = name
            .trim_start_matches(['S', 'K'])
            .trim_start_matches(|char: char| char.is_ascii_digit());
        self.in_charge
            && [name, link]
                .iter()
                .any(|name| self.settings.contains_key(&format!("{name}.service")))
    }

    /// Adds units that something else starts. Returns whether the set of started units has grown.
    pub(crate) fn start(&mut self, wanted: &BTreeSet<String>) -> bool {
        let before = self.started.len();
        self.started.extend(wanted.iter().map(|name| template(name)));
        self.follow();
        self.started.len() != before
    }

    fn finding(&self, name: &str, setting: &Setting, script: Option<(PathBuf, usize)>) -> Finding {
        let started = self.is_started(name);
        let by = match script {
            Some((path, line)) => format!("by line {line} of {}", path.display()),
            None => format!("by {}={}", setting.key, excerpt(setting.value.as_bytes())),
        };
        let (level, state) = if started {
            (Level::Problem, "is started and")
        } else {
            (Level::Note, "is not enabled, but if started")
        };
        let fix = if started {
            format!("systemctl mask --now {name}")
        } else {
            format!("leave {name} disabled, or systemctl mask {name}")
        };
        Finding::new(level, format!("the unit {name} {state} brings processors online {by}"))
            .at(&setting.file, setting.line)
            .why("processors run before any party was asked (A1), and count as joined without agreement (Q3)")
            .fix(fix)
    }
}

fn unclear(name: &str, setting: &Setting, doubt: Doubt) -> Finding {
    let what = format!(
        "the unit {name} is started and runs a command that cannot be analysed: {}",
        doubt.what
    );
    Finding::new(Level::CannotTell, what)
        .at(&setting.file, setting.line)
        .why(WHY_UNCLEAR)
        .fix(doubt.fix)
}

/// The environment of a unit's commands, without the contents of environment files.
fn variables(settings: &[Setting]) -> BTreeMap<String, String> {
    let lines = settings.iter().filter(|setting| setting.key == "Environment");
    let words = lines.flat_map(|setting| setting.value.split_whitespace());
    let pairs = words.filter_map(|word| word.trim_matches(['"', '\'']).split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A command with systemd's specifiers (`%i`) replaced, because their values are unknown.
fn specified(command: &str) -> String {
    let mut text = String::new();
    let mut chars = command.chars();
    while let Some(char) = chars.next() {
        match char {
            '%' => text.push(if chars.next() == Some('%') { '%' } else { UNKNOWN }),
            char => text.push(char),
        }
    }
    text
}

/// The names under which a unit can have drop-ins: its own name, prefixes of it (`a-.service`), and its type.
fn dropped_in(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if let Some((stem, kind)) = name.rsplit_once('.') {
        let dashes = stem.match_indices('-').map(|(at, _)| format!("{}.{kind}", &stem[..=at]));
        names.extend(dashes.filter(|other| other != name));
        names.push(kind.to_owned());
    }
    names
}

/// The template's name for an instance; otherwise the unit's own name.
fn template(name: &str) -> String {
    match (name.split_once('@'), name.rsplit_once('.')) {
        (Some((stem, _)), Some((_, kind))) => format!("{stem}@.{kind}"),
        _ => name.to_owned(),
    }
}

fn is_unit(name: &str) -> bool {
    let kinds =
        ["service", "socket", "timer", "path", "target", "mount", "automount", "swap", "slice"];
    name.rsplit_once('.').is_some_and(|(_, kind)| kinds.contains(&kind))
}

/// Adds the settings of a file. A key without a value removes earlier values.
fn add(settings: &mut Vec<Setting>, file: &Path, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let mut lines = (1..).zip(text.lines());
    while let Some((line, first)) = lines.next() {
        let mut whole = first.trim().to_owned();
        if whole.starts_with(['#', ';', '[']) {
            continue;
        }
        while let Some(more) = whole.strip_suffix('\\') {
            let Some((_, next)) =
                lines.find(|(_, next)| !next.trim_start().starts_with(['#', ';']))
            else {
                break;
            };
            whole = format!("{more} {}", next.trim());
        }
        let Some((key, value)) = whole.split_once('=') else { continue };
        let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
        if value.is_empty() {
            settings.retain(|setting| setting.key != key);
        } else {
            settings.push(Setting { key, value, file: file.to_owned(), line });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_setting_continues_across_lines_and_an_empty_one_resets() {
        let mut settings = Vec::new();
        let file = Path::new("x.service");
        add(&mut settings, file, b"[Service]\nExecStart=/bin/a \\\n# between\n  b\nExecStop = c\n");
        let seen: Vec<_> = settings.iter().map(|s| (&*s.key, &*s.value, s.line)).collect();
        assert_eq!(seen, [("ExecStart", "/bin/a  b", 2), ("ExecStop", "c", 5)]);
        add(&mut settings, file, b"ExecStart=\nExecStart=/bin/d\n");
        assert_eq!(settings.iter().filter(|s| s.key == "ExecStart").count(), 1);
    }

    proptest! {
        #[test]
        fn any_unit_is_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
            add(&mut Vec::new(), Path::new("x"), &text);
        }
    }
}
