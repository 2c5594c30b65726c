//! What a command line or a script does when some file runs it: itself and everything that it calls, as far as that can be
//! followed.

mod calls;
mod files;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::finding::excerpt;
use super::programs;
use super::script::{self, Subject};
use super::shell::{self, Piece, Shell, Simple, UNKNOWN, Word};
use super::tree::Tree;

/// How deep calls of scripts are followed.
const DEPTH: usize = 8;
/// How many files are followed in one examination.
const FILES: usize = 4000;
/// How many doubts are reported for one command.
const DOUBTS: usize = 4;

/// What a command does to processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// It brings processors online: by this line of this script, or directly.
    Online(Option<(PathBuf, usize)>),
    /// It is unknown: something cannot be followed.
    Unclear(Vec<Doubt>),
    /// It does not bring processors online.
    Else,
}

/// Something that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) what: String,
    /// What to examine by hand.
    pub(crate) fix: String,
}

impl Doubt {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// The subject and the environment of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) subject: Subject,
    /// The folders in which programs are looked up that are named without a folder.
    pub(crate) folders: &'a [&'a str],
    /// The variables that the command is given.
    pub(crate) variables: &'a BTreeMap<String, String>,
    /// The number of nested script calls so far.
    pub(crate) depth: usize,
}

impl Run<'_> {
    /// The environment of most commands.
    pub(crate) fn new() -> Run<'static> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        Run { subject: Subject::Named, folders: &programs::FOLDERS, variables: &NONE, depth: 0 }
    }
}

/// A file by its device and inode number, the subject that it is run for, and a hash of its variables.
type Key = ((u64, u64), Subject, u64);

/// Follows commands below a root. A script that is called several times is read once.
pub(crate) struct Follower<'a> {
    tree: &'a Tree,
    /// The result for a file and its subject.
    known: RefCell<HashMap<Key, Does>>,
    files: Cell<usize>,
    /// Units of systemd that commands start.
    wanted: RefCell<BTreeSet<String>>,
    /// The doubts that were reported already. Each is reported once.
    told: RefCell<BTreeSet<String>>,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(tree: &'a Tree) -> Self {
        Self {
            tree,
            known: RefCell::default(),
            files: Cell::new(0),
            wanted: RefCell::default(),
            told: RefCell::default(),
        }
    }

    /// The units that the commands followed so far start.
    pub(crate) fn wanted_units(&self) -> BTreeSet<String> {
        self.wanted.borrow().clone()
    }

    /// The doubts that were not reported yet.
    pub(crate) fn news(&self, doubts: Vec<Doubt>) -> Vec<Doubt> {
        let mut told = self.told.borrow_mut();
        let is_new =
            |doubt: &Doubt| doubt.what.starts_with(COMMAND) || told.insert(doubt.what.clone());
        doubts.into_iter().filter(is_new).collect()
    }

    /// Follows a command line.
    pub(crate) fn command(&self, text: &[u8], run: Run<'_>) -> Does {
        if !script::scan(text, run.subject).is_empty() {
            return Does::Online(None);
        }
        self.shell(&shell::parse(&String::from_utf8_lossy(text)), None, run)
    }

    /// Follows a shell text that is run as a file: a script, or a text that another one reads in.
    pub(crate) fn text(&self, path: &Path, text: &[u8], run: Run<'_>) -> Does {
        if let Some(hit) = script::scan(text, run.subject).first() {
            return Does::Online(Some((path.to_owned(), hit.line)));
        }
        let text = String::from_utf8_lossy(text);
        let mut shell = shell::parse(&text);
        // OpenRC runs the program that this variable names.
        let openrc = programs::interpreter(&text).map(programs::base);
        if openrc.is_some_and(|name| ["openrc-run", "runscript"].contains(&name)) {
            let command =
                Word { pieces: vec![Piece::Variable("command".to_owned(), None)], quoted: true };
            if shell.assigned.contains_key("command") {
                shell.commands.push(Simple { line: 1, words: vec![command], ..Simple::default() });
            }
        }
        self.shell(&shell, Some(path), run)
    }

    /// Follows all commands of a text.
    fn shell(&self, shell: &Shell, source: Option<&Path>, run: Run<'_>) -> Does {
        let mut shell = shell.clone();
        let mut sum = Sum::default();
        if let Some((line, why)) = shell.odd {
            sum.doubt(Doubt::new(
                format!("{} cannot be read: {why}", at(source, line)),
                look_at(source, line),
            ));
        }
        self.join(&mut shell, source, run);
        let scene = Scene { shell: &shell, source, run };
        let mut before: Option<&Simple> = None;
        for simple in &shell.commands {
            sum.add(self.writes(&scene, simple));
            if let Some(word) = simple.words.first() {
                for program in shell.values(word, run.variables) {
                    sum.add(self.call(&scene, &program, simple, before));
                }
            }
            if sum.online.is_some() {
                break;
            }
            before = Some(simple);
        }
        sum.does()
    }

    /// Adds the functions and variables of the texts that a script reads in.
    fn join(&self, shell: &mut Shell, source: Option<&Path>, run: Run<'_>) {
        let mut queue: Vec<_> = shell
            .commands
            .iter()
            .filter_map(|simple| self.read_in(shell, simple, source, run))
            .flatten()
            .collect();
        let mut seen = BTreeSet::new();
        while let Some(path) = queue.pop() {
            if seen.len() >= 32 || !seen.insert(path.clone()) {
                continue;
            }
            let super::tree::Content::Text(text) = self.tree.look_into(&path) else { continue };
            let other = shell::parse(&String::from_utf8_lossy(&text));
            queue.extend(
                other
                    .commands
                    .iter()
                    .filter_map(|simple| self.read_in(&other, simple, Some(&path), run))
                    .flatten(),
            );
            shell.functions.extend(other.functions);
            for (name, values) in other.assigned {
                shell.assigned.entry(name).or_default().extend(values);
            }
        }
    }

    /// The files that a command reads in, if it is `.` or `source`.
    fn read_in(
        &self,
        shell: &Shell,
        simple: &Simple,
        source: Option<&Path>,
        run: Run<'_>,
    ) -> Option<Vec<PathBuf>> {
        let [program, file, ..] = &simple.words[..] else { return None };
        [".", "source"].contains(&program.literal()?).then(|| {
            let values = shell.values(file, run.variables);
            let known = values.iter().filter(|value| !value.contains(UNKNOWN));
            known.flat_map(|value| files::candidates(value, source, run.folders)).collect()
        })
    }

    /// What a command does by writing to files.
    fn writes(&self, scene: &Scene<'_>, simple: &Simple) -> Does {
        let mut sum = Sum::default();
        for word in &simple.into {
            for value in scene.shell.values(word, scene.run.variables) {
                if says_off(scene, simple) {
                    continue;
                }
                let named = !value.contains(UNKNOWN);
                let path = value.replace(UNKNOWN, "$");
                if script::is_switch(&path) {
                    return Does::Online(scene.place(simple.line));
                } else if !named && (script::may_be_switch(&path) || says_on(scene, simple)) {
                    sum.doubt(scene.doubt(
                        simple,
                        &format!("writes to a file whose name is unknown ({})", shown(word)),
                    ));
                }
            }
        }
        sum.does()
    }
}

/// The context of a command.
struct Scene<'a> {
    shell: &'a Shell,
    /// The script, if the command is in one.
    source: Option<&'a Path>,
    run: Run<'a>,
}

impl Scene<'_> {
    fn place(&self, line: usize) -> Option<(PathBuf, usize)> {
        self.source.map(|path| (path.to_owned(), line))
    }

    /// A doubt about a command. `what` continues the command's place: "... calls ...".
    fn doubt(&self, simple: &Simple, what: &str) -> Doubt {
        Doubt::new(
            format!("{} {what}", at(self.source, simple.line)),
            look_at(self.source, simple.line),
        )
    }

    fn values(&self, word: &Word) -> Vec<String> {
        self.shell.values(word, self.run.variables)
    }
}

/// The subject of messages about a command line that is not in a script and has no path.
const COMMAND: &str = "the command";

fn at(source: Option<&Path>, line: usize) -> String {
    source.map_or_else(|| COMMAND.to_owned(), |path| format!("line {line} of {}", path.display()))
}

fn look_at(source: Option<&Path>, line: usize) -> String {
    match source {
        Some(path) => format!("check what line {line} of {} does", path.display()),
        None => "check what the command does".to_owned(),
    }
}

/// A word approximately as it is in the text.
fn shown(word: &Word) -> String {
    let pieces = word.pieces.iter().map(|piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Variable(name, _) => format!("${name}"),
        Piece::Unknown => "$(…)".to_owned(),
    });
    excerpt(pieces.collect::<String>().as_bytes())
}

/// Whether a command is known to print a value that leaves a processor off.
fn says_off(scene: &Scene<'_>, simple: &Simple) -> bool {
    prints(scene, simple, script::is_off)
}

/// Whether a command is known to print a value that brings a processor online.
fn says_on(scene: &Scene<'_>, simple: &Simple) -> bool {
    prints(scene, simple, |value| {
        let value = value.trim_end_matches(['\n', ' ']).trim_end_matches("\\n");
        ["1", "y", "on", "Y", "online"].contains(&value)
    })
}

fn prints(scene: &Scene<'_>, simple: &Simple, wanted: impl Fn(&str) -> bool) -> bool {
    let program = simple.words.first().and_then(Word::literal).map(programs::base);
    let [_, .., last] = &simple.words[..] else { return false };
    program.is_some_and(|program| ["echo", "printf"].contains(&program))
        && scene.values(last).iter().all(|value| wanted(value))
}

/// The combined result of several commands.
#[derive(Default)]
struct Sum {
    online: Option<Option<(PathBuf, usize)>>,
    doubts: Vec<Doubt>,
}

impl Sum {
    fn add(&mut self, does: Does) {
        match does {
            Does::Online(by) => {
                self.online.get_or_insert(by);
            }
            Does::Unclear(doubts) => doubts.into_iter().for_each(|doubt| self.doubt(doubt)),
            Does::Else => {}
        }
    }

    fn doubt(&mut self, doubt: Doubt) {
        if self.doubts.len() < DOUBTS && !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }

    fn does(self) -> Does {
        match self.online {
            Some(by) => Does::Online(by),
            None if self.doubts.is_empty() => Does::Else,
            None => Does::Unclear(self.doubts),
        }
    }
}
