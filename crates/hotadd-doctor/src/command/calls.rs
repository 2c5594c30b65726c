//! Calls of programs: finds the program, and what else its words cause to run.

use std::path::{Path, PathBuf};

use super::files::candidates;
use super::{Does, Doubt, Follower, Run, Scene, Sum, prints, says_on, shown};
use crate::opaque;
use crate::programs::{self, Kind, base};
use crate::script;
use crate::shell::{self, Piece, Simple, UNKNOWN, Word};
use crate::tree::Content;

const IN_OTHER_LANGUAGE: &str = "runs code in another language, which is not analysed";

/// Programs that write to their last word.
const COPIES: [&str; 5] = ["cp", "mv", "install", "ln", "rsync"];

impl Follower<'_> {
    /// Follows a call. `program` is one value of the command's first word.
    pub(super) fn call(
        &self,
        scene: &Scene<'_>,
        program: &str,
        simple: &Simple,
        before: Option<&Simple>,
    ) -> Does {
        let first = &simple.words[0];
        // A variable can hold a program together with its words.
        let mut words = program.split_whitespace();
        let Some(program) = words.next() else { return Does::Else };
        let whole = first.literal().is_some();
        let program = if whole { first.literal().unwrap_or_default() } else { program };
        let more = words.filter(|_| !whole);
        let mut args: Vec<Word> = more.map(literal).collect();
        args.extend_from_slice(&simple.words[1..]);
        let braces = !first.quoted && program.contains('{') && program.contains('}');
        if braces || program.contains([UNKNOWN, char::REPLACEMENT_CHARACTER]) {
            let what = format!("calls a program whose name is unknown ({})", shown(first));
            return unclear(scene.doubt(simple, &what));
        }
        let mut sum = Sum::default();
        sum.add(self.copies(scene, program, &args, simple, before));
        sum.add(self.run(scene, marks(scene, program), &args, simple));
        sum.does()
    }

    /// Follows a program with its words.
    fn run(&self, scene: &Scene<'_>, program: &str, args: &[Word], simple: &Simple) -> Does {
        let name = base(program);
        if scene.shell.functions.contains(program) {
            return self.named_files(scene, args, true);
        }
        match (name, programs::kind(program)) {
            ("." | "source", _) => self.read(scene, args, simple),
            ("alias", _) => self.aliases(scene, args, simple),
            ("ip", _) if args.iter().any(|word| word.literal() == Some("exec")) => {
                self.wrapped(scene, name, args, simple)
            }
            (_, Kind::Runner) => {
                let what = format!("calls {name}, which runs commands that are given elsewhere");
                unclear(scene.doubt(simple, &what))
            }
            ("eval" | "trap", _) => self.evaluated(scene, name, args, simple),
            ("find", _) => {
                let commands = args.iter().position(|word| {
                    word.literal().is_some_and(|word| ["-exec", "-execdir", "-ok"].contains(&word))
                });
                commands.map_or(Does::Else, |at| self.wrapped(scene, name, &args[at + 1..], simple))
            }
            ("run-parts", _) => self.folder(scene, args, simple),
            ("systemctl", _) => self.units(scene, args, simple),
            ("service" | "invoke-rc.d" | "rc-service", _) => self.service(scene, args, simple),
            ("command" | "type", _) if args.first().is_some_and(|word| is_option(word, "vV")) => {
                Does::Else
            }
            ("awk" | "gawk" | "mawk", Kind::Plain) => self.awk(scene, args, simple),
            (_, Kind::Plain) => Does::Else,
            (_, Kind::Wrapper) => self.wrapped(scene, name, args, simple),
            (_, Kind::Shell) => self.shells(scene, args, simple),
            (_, Kind::Interpreter) => self.interpreted(scene, args, simple),
            (_, Kind::Other) => {
                let mut sum = Sum::default();
                let folders = places(scene, program);
                let found: Vec<_> =
                    folders.iter().filter_map(|path| self.file(path, scene.run)).collect();
                if found.is_empty() && program.contains('/') && !program.starts_with('/') {
                    sum.doubt(scene.doubt(simple, &format!("calls {program}, which is not found")));
                }
                found.into_iter().for_each(|does| sum.add(does));
                sum.add(self.named_files(scene, args, false));
                if args
                    .iter()
                    .flat_map(|word| scene.values(word))
                    .any(|word| script::is_switch(&word))
                {
                    let what = format!("passes a processor's online file to {program}");
                    sum.doubt(scene.doubt(simple, &what));
                }
                sum.does()
            }
        }
    }

    /// Follows words that name scripts; with `programs`, also words that name programs.
    fn named_files(&self, scene: &Scene<'_>, args: &[Word], programs: bool) -> Does {
        let mut sum = Sum::default();
        for value in args.iter().flat_map(|word| scene.values(word)) {
            let value = value.rsplit('=').next().unwrap_or_default();
            let path = Path::new(value);
            let files = ["/sys", "/proc", "/dev"].iter().all(|other| !path.starts_with(other));
            if !path.is_absolute() || value.contains(UNKNOWN) || !files {
                continue;
            }
            if self.is_run(path, programs) {
                sum.add(self.file(path, scene.run).unwrap_or(Does::Else));
            }
        }
        sum.does()
    }

    /// Whether a file can be run, as far as its first bytes show.
    fn is_run(&self, path: &Path, programs: bool) -> bool {
        match self.tree.look_into(path) {
            Content::Text(text) => text.starts_with(b"#!"),
            Content::Binary(_) => programs,
            _ => false,
        }
    }

    /// `. FILE`
    fn read(&self, scene: &Scene<'_>, args: &[Word], simple: &Simple) -> Does {
        let Some(word) = args.first() else { return Does::Else };
        let mut sum = Sum::default();
        for value in scene.values(word) {
            if value.contains(UNKNOWN) {
                let what = format!("sources a file whose name is unknown ({})", shown(word));
                sum.doubt(scene.doubt(simple, &what));
                continue;
            }
            let paths = candidates(&value, scene.source, scene.run.folders);
            let found: Vec<_> =
                paths.iter().filter_map(|path| self.file(path, scene.run)).collect();
            if found.is_empty() && !value.starts_with('/') {
                sum.doubt(scene.doubt(simple, &format!("sources {value}, which is not found")));
            }
            found.into_iter().for_each(|does| sum.add(does));
        }
        sum.does()
    }

    /// `eval TEXT`, `trap TEXT SIGNAL`
    fn evaluated(&self, scene: &Scene<'_>, name: &str, args: &[Word], simple: &Simple) -> Does {
        let args = if name == "trap" { &args[..args.len().min(1)] } else { args };
        if let [word] = args
            && word.literal().is_some_and(|word| word.starts_with('-') || word.is_empty())
        {
            return Does::Else;
        }
        self.inner(scene, args, simple)
    }

    /// Follows shell text in the words of a command.
    fn inner(&self, scene: &Scene<'_>, args: &[Word], simple: &Simple) -> Does {
        let texts: Option<Vec<_>> = args.iter().map(text).collect();
        let Some(texts) = texts else {
            let words: Vec<_> = args.iter().map(shown).collect();
            let what = format!("runs commands that are unknown ({})", words.join(" "));
            return unclear(scene.doubt(simple, &what));
        };
        if scene.run.depth >= super::DEPTH {
            return unclear(scene.doubt(simple, "nests evaluated commands too deeply"));
        }
        if self.files.get() >= super::FILES {
            return unclear(
                scene.doubt(simple, "is not examined, because the script runs too many commands"),
            );
        }
        self.files.set(self.files.get() + 1);
        let text = texts.join(" ");
        if !script::scan(text.as_bytes(), scene.run.subject).is_empty() {
            return Does::Online(scene.place(simple.line));
        }
        let mut shell = shell::parse(&text);
        for inner in &mut shell.commands {
            inner.line = simple.line;
        }
        shell.borrow(scene.shell);
        self.shell(&shell, scene.source, Run { depth: scene.run.depth + 1, ..scene.run })
    }

    /// Follows a program that another one runs: `nice -n 5 PROGRAM`.
    fn wrapped(&self, scene: &Scene<'_>, name: &str, args: &[Word], simple: &Simple) -> Does {
        // For other programs `-c` has another meaning.
        let text = ["su", "runuser", "flock", "script"].contains(&name);
        let mut unknown = None;
        for (index, word) in args.iter().enumerate() {
            if text && is_option(word, "c") {
                return self.inner(scene, &args[index + 1..args.len().min(index + 2)], simple);
            }
            for value in scene.values(word) {
                let value = value.split_whitespace().next().unwrap_or_default();
                // `--exec=PROGRAM`
                let value = match value.strip_prefix("--").and_then(|option| option.split_once('='))
                {
                    Some((_, value)) if value.starts_with('/') => value,
                    _ => value,
                };
                if value.contains(UNKNOWN) {
                    unknown = Some(word);
                    continue;
                }
                let known = programs::kind(value) != Kind::Other
                    || scene.shell.functions.contains(value)
                    || ["eval", "systemctl", "service", "run-parts", "find"].contains(&base(value));
                let is_file = || {
                    let mut paths = places(scene, value).into_iter();
                    let is_file = |content| {
                        matches!(
                            content,
                            Content::Text(_) | Content::Binary(_) | Content::Unread(_)
                        )
                    };
                    paths.any(|path| is_file(self.tree.look_into(&path)))
                };
                if !value.is_empty() && !value.starts_with('-') && (known || is_file()) {
                    return self.run(scene, value, &args[index + 1..], simple);
                }
            }
        }
        unknown.map_or(Does::Else, |word| {
            let what = format!("calls a program whose name is unknown ({})", shown(word));
            unclear(scene.doubt(simple, &what))
        })
    }

    /// `sh -c TEXT`, `sh FILE`, or text on its stdin.
    fn shells(&self, scene: &Scene<'_>, args: &[Word], simple: &Simple) -> Does {
        for (index, word) in args.iter().enumerate() {
            if is_option(word, "c") {
                return self.inner(scene, &args[index + 1..args.len().min(index + 2)], simple);
            }
            let option = word.literal().is_some_and(|word| word.starts_with(['-', '+']));
            if !option {
                return self.read(scene, &args[index..=index], simple);
            }
        }
        if simple.piped || simple.fed {
            return unclear(scene.doubt(simple, "makes a shell run its input"));
        }
        Does::Else
    }

    /// `python3 FILE`, `perl -e TEXT`
    fn interpreted(&self, scene: &Scene<'_>, args: &[Word], simple: &Simple) -> Does {
        for word in args {
            if is_option(word, "ceE") {
                return unclear(scene.doubt(simple, IN_OTHER_LANGUAGE));
            }
            if is_option(word, "mM") {
                return unclear(scene.doubt(simple, "runs a module of another language"));
            }
            if word.literal().is_some_and(|word| word.starts_with('-')) {
                continue;
            }
            let mut sum = Sum::default();
            for value in scene.values(word) {
                if value.contains(UNKNOWN) {
                    let what = format!("runs a script whose name is unknown ({})", shown(word));
                    sum.doubt(scene.doubt(simple, &what));
                }
                let folder = scene.source.and_then(Path::parent).unwrap_or(Path::new("/"));
                let folder = folder.to_string_lossy();
                let paths = candidates(&value, scene.source, &[&folder]);
                let known =
                    paths.iter().any(|path| !matches!(self.tree.look_into(path), Content::Missing));
                if !known && !value.starts_with('/') && !value.contains(UNKNOWN) {
                    sum.doubt(scene.doubt(simple, &format!("runs {value}, which is not found")));
                }
                for path in paths {
                    if let Content::Text(text) = self.tree.look_into(&path) {
                        sum.add(self.foreign(&path, &text, scene.run));
                    } else {
                        sum.add(self.file(&path, scene.run).unwrap_or(Does::Else));
                    }
                }
            }
            return sum.does();
        }
        if simple.piped || simple.fed {
            return unclear(
                scene.doubt(simple, "makes an interpreter of another language run its input"),
            );
        }
        Does::Else
    }

    /// An awk program on the command line.
    fn awk(&self, scene: &Scene<'_>, args: &[Word], simple: &Simple) -> Does {
        let calls = ["system(", "getline", "| \"", "|\""];
        for value in args.iter().flat_map(|word| scene.values(word)) {
            let sign = opaque::search(value.as_bytes()).said().is_some();
            if sign || calls.iter().any(|call| value.contains(call)) {
                return unclear(scene.doubt(simple, IN_OTHER_LANGUAGE));
            }
        }
        Does::Else
    }

    /// `alias NAME=TEXT`
    fn aliases(&self, scene: &Scene<'_>, args: &[Word], simple: &Simple) -> Does {
        let mut sum = Sum::default();
        for word in args {
            let Some(text) = text(word) else {
                sum.doubt(scene.doubt(simple, "defines an alias whose value is unknown"));
                continue;
            };
            if let Some((_, text)) = text.split_once('=') {
                sum.add(self.inner(scene, &[literal(text)], simple));
            }
        }
        sum.does()
    }

    /// `run-parts FOLDER`
    fn folder(&self, scene: &Scene<'_>, args: &[Word], simple: &Simple) -> Does {
        let mut sum = Sum::default();
        let words =
            args.iter().filter(|word| !word.literal().is_some_and(|word| word.starts_with('-')));
        for value in words.flat_map(|word| scene.values(word)) {
            if value.contains(UNKNOWN) {
                sum.doubt(scene.doubt(simple, "runs a folder whose name is unknown"));
                continue;
            }
            let folder = Path::new(&value);
            for name in self.tree.list(folder) {
                sum.add(self.file(&folder.join(name), scene.run).unwrap_or(Does::Else));
            }
        }
        sum.does()
    }

    /// `systemctl start UNIT`
    fn units(&self, scene: &Scene<'_>, args: &[Word], simple: &Simple) -> Does {
        let mut words =
            args.iter().filter(|word| !word.literal().is_some_and(|word| word.starts_with('-')));
        let starts = ["start", "restart", "reload-or-restart", "isolate", "enable", "reenable"];
        let verb = words.next();
        match verb.map(|verb| verb.literal()) {
            Some(Some(verb)) if !starts.contains(&verb) => return Does::Else,
            None => return Does::Else,
            Some(_) => {}
        }
        for value in words.flat_map(|word| scene.values(word)) {
            if value.contains(UNKNOWN) {
                return unclear(scene.doubt(simple, "starts a unit whose name is unknown"));
            }
            let whole = value.contains('.');
            self.wanted.borrow_mut().insert(if whole { value } else { format!("{value}.service") });
        }
        Does::Else
    }

    /// `service NAME start`
    fn service(&self, scene: &Scene<'_>, args: &[Word], simple: &Simple) -> Does {
        let mut words =
            args.iter().filter(|word| !word.literal().is_some_and(|word| word.starts_with('-')));
        let Some(word) = words.next() else { return Does::Else };
        if let Some(Some("stop" | "status" | "force-stop")) = words.next().map(Word::literal) {
            return Does::Else;
        }
        let mut sum = Sum::default();
        for value in scene.values(word) {
            if value.contains(UNKNOWN) {
                sum.doubt(scene.doubt(simple, "starts a service whose name is unknown"));
                continue;
            }
            self.wanted.borrow_mut().insert(format!("{value}.service"));
            let script = Path::new("/etc/init.d").join(value);
            sum.add(self.file(&script, scene.run).unwrap_or(Does::Else));
        }
        sum.does()
    }

    /// Copies to a switch: `echo 1 | tee FILE`, `cp one FILE`.
    fn copies(
        &self,
        scene: &Scene<'_>,
        program: &str,
        args: &[Word],
        simple: &Simple,
        before: Option<&Simple>,
    ) -> Does {
        let off =
            || simple.piped && before.is_some_and(|before| prints(scene, before, script::is_off));
        let targets: Vec<_> = match base(program) {
            "tee" => args.iter().collect(),
            "dd" => args.iter().filter(|word| shown(word).starts_with("of=")).collect(),
            name if COPIES.contains(&name) => args.iter().skip(1).next_back().into_iter().collect(),
            _ => return Does::Else,
        };
        let values: Vec<_> = targets.into_iter().flat_map(|word| scene.values(word)).collect();
        let on = simple.piped && before.is_some_and(|before| says_on(scene, before));
        if on && values.iter().any(|value| value.contains(UNKNOWN)) {
            let what = "writes to a file whose name is unknown";
            return unclear(scene.doubt(simple, what));
        }
        let switch = values.iter().any(|value| script::is_switch(value.trim_start_matches("of=")));
        if switch && !off() { Does::Online(scene.place(simple.line)) } else { Does::Else }
    }
}

fn unclear(doubt: Doubt) -> Does {
    Does::Unclear(vec![doubt])
}

fn literal(text: &str) -> Word {
    Word { pieces: vec![Piece::Literal(text.to_owned())], quoted: false }
}

/// Removes systemd's prefixes from the program at the beginning of a unit's command.
fn marks<'a>(scene: &Scene<'_>, program: &'a str) -> &'a str {
    if scene.source.is_some() {
        program
    } else {
        program.trim_start_matches(['-', '@', ':', '+', '!', '|'])
    }
}

/// Whether a word is an option with a single dash that has one of these letters: `-ec`.
fn is_option(word: &Word, letters: &str) -> bool {
    word.literal().and_then(|word| word.strip_prefix('-')).is_some_and(|word| {
        !word.starts_with('-') && word.len() <= 6 && word.contains(|char| letters.contains(char))
    })
}

/// A word as shell text. Variables in it keep their names.
fn text(word: &Word) -> Option<String> {
    let pieces = word.pieces.iter().map(|piece| match piece {
        Piece::Literal(text) => Some(text.clone()),
        Piece::Variable(name, None) => Some(format!("${{{name}}}")),
        Piece::Variable(..) | Piece::Unknown => None,
    });
    pieces.collect()
}

/// The paths that a program can have: in the usual folders, and in those that the script or its table names.
fn places(scene: &Scene<'_>, program: &str) -> Vec<PathBuf> {
    let mut places = candidates(program, scene.source, scene.run.folders);
    if !program.contains('/') {
        let path = Word { pieces: vec![Piece::Variable("PATH".to_owned(), None)], quoted: true };
        let values = scene.values(&path);
        let folders = values.iter().flat_map(|value| value.split(':'));
        let known = folders.filter(|folder| folder.starts_with('/') && !folder.contains(UNKNOWN));
        places.extend(known.map(|folder| Path::new(folder).join(program)));
    }
    places
}
