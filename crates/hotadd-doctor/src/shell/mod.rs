//! Parses shell text: its simple commands with their words, the files they write, assignments and function names. The text is
//! parsed as a shell does, far enough to see each program that may be called. Text that cannot be parsed is reported with its
//! line.

mod lexer;
mod parser;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// Stands in a value for a part that is unknown before the text is run.
pub(crate) const UNKNOWN: char = '\u{1}';

/// The most values of one word that are followed.
const VALUES: usize = 16;
/// The most lookups for one word, and the deepest nesting of variables in variables.
const LOOKUPS: usize = 100;
const DEPTH: usize = 6;

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Literal(String),
    /// A variable, and the value that is used if it is not set.
    Variable(String, Option<String>),
    /// The output of a command, or something else that is unknown before the text is run.
    Unknown,
}

/// One word of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) pieces: Vec<Piece>,
    /// Part of it is quoted, so it is not a reserved word.
    pub(crate) quoted: bool,
}

impl Word {
    /// The word, if it contains nothing that must be evaluated.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.pieces[..] {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// A command without operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Simple {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) words: Vec<Word>,
    /// The files that it writes to.
    pub(crate) into: Vec<Word>,
    /// It reads the output of the command before it.
    pub(crate) piped: bool,
    /// It reads text that follows it.
    pub(crate) fed: bool,
}

/// A parsed text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shell {
    pub(crate) commands: Vec<Simple>,
    /// All values that are assigned to a variable anywhere.
    pub(crate) assigned: BTreeMap<String, Vec<Word>>,
    pub(crate) functions: BTreeSet<String>,
    /// The line that cannot be parsed, and why.
    pub(crate) odd: Option<(usize, &'static str)>,
}

/// Parses a text.
pub(crate) fn parse(text: &str) -> Shell {
    let mut shell = Shell::default();
    parser::read(text, &mut shell);
    shell
}

impl Shell {
    /// Takes over functions and variables that are used here and defined in the surrounding text.
    pub(crate) fn borrow(&mut self, outer: &Self) {
        let words = |words: &[Word]| -> Vec<String> {
            let pieces = words.iter().flat_map(|word| &word.pieces);
            let names = pieces.filter_map(|piece| match piece {
                Piece::Variable(name, _) => Some(name.clone()),
                Piece::Literal(_) | Piece::Unknown => None,
            });
            names.collect()
        };
        let mut names: Vec<_> = vec!["PATH".to_owned()];
        for command in &self.commands {
            let called = command.words.first().and_then(Word::literal);
            let called = called.filter(|name| outer.functions.contains(*name)).map(str::to_owned);
            self.functions.extend(called);
            names.extend(words(&command.words));
            names.extend(words(&command.into));
        }
        names.extend(self.assigned.values().flat_map(|values| words(values)));
        let mut taken = BTreeSet::new();
        while let Some(name) = names.pop() {
            let Some(values) = outer.assigned.get(&name) else { continue };
            if !taken.insert(name.clone()) {
                continue;
            }
            // A variable with more values, or composed of more variables, counts as unknown anyway.
            let values = &values[..values.len().min(VALUES + 1)];
            if taken.len() < LOOKUPS {
                names.extend(words(values));
            }
            self.assigned.entry(name).or_default().extend(values.iter().cloned());
        }
    }

    /// The values that a word can have. An unknown part is [`UNKNOWN`].
    pub(crate) fn values(&self, word: &Word, outer: &BTreeMap<String, String>) -> Vec<String> {
        let looking = Looking { outer, left: Cell::new(LOOKUPS) };
        self.expand(word, &looking, 0)
    }

    fn expand(&self, word: &Word, looking: &Looking<'_>, depth: usize) -> Vec<String> {
        let mut values = vec![String::new()];
        for piece in &word.pieces {
            let parts = match piece {
                Piece::Literal(text) => vec![text.clone()],
                Piece::Unknown => vec![UNKNOWN.to_string()],
                Piece::Variable(name, default) => {
                    self.variable(name, default.as_ref(), looking, depth)
                }
            };
            let next = values
                .iter()
                .flat_map(|value| parts.iter().map(move |part| format!("{value}{part}")));
            let mut next: Vec<_> = next.take(VALUES + 1).collect();
            if next.len() > VALUES || next.iter().any(|value| value.len() > 4096) {
                next = vec![UNKNOWN.to_string()];
            }
            values = next;
        }
        values
    }

    fn variable(
        &self,
        name: &str,
        default: Option<&String>,
        looking: &Looking<'_>,
        depth: usize,
    ) -> Vec<String> {
        let given = self.assigned.get(name).map(Vec::as_slice).unwrap_or_default();
        let left = looking.left.get().checked_sub(given.len() + 1);
        if depth >= DEPTH || left.is_none() || given.len() > VALUES {
            return vec![UNKNOWN.to_string()];
        }
        looking.left.set(left.unwrap_or(0));
        let mut values: Vec<_> =
            given.iter().flat_map(|word| self.expand(word, looking, depth + 1)).collect();
        values.extend(default.cloned());
        values.extend(looking.outer.get(name).cloned());
        if values.is_empty() {
            values.push(UNKNOWN.to_string());
        }
        values.sort();
        values.dedup();
        values
    }
}

/// A lookup of values.
struct Looking<'a> {
    outer: &'a BTreeMap<String, String>,
    /// How many more lookups are allowed: variables can refer to each other without end.
    left: Cell<usize>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(text: &str) -> Vec<String> {
        let shell = parse(text);
        assert_eq!(shell.odd, None, "{text}");
        let commands = shell.commands.iter().filter(|command| !command.words.is_empty());
        let commands = commands.map(|command| {
            let words = command
                .words
                .iter()
                .map(|word| shell.values(word, &BTreeMap::new()).join("|").replace(UNKNOWN, "?"));
            words.collect::<Vec<_>>().join(" ")
        });
        commands.collect()
    }

    #[test]
    fn commands_are_found_in_every_shell_construct() {
        for (text, expected) in [
            ("a b; c && d || e | f & g", &["a b", "c", "d", "e", "f", "g"][..]),
            ("if a; then b; elif c; then d; else e; fi", &["a", "b", "c", "d", "e"]),
            ("while ! a; do b; done; until c; do { d; }; done", &["a", "b", "c", "d"]),
            ("case $1 in start|on) a ;; (b) c;; *) d\nesac; e", &["a", "c", "d", "e"]),
            ("x=$(a b) y=`c` d", &["a b", "c", "d"]),
            ("echo \"$(a \"$(b)\")\"", &["b", "a ?", "echo ?"]),
            ("f() { a; }; function g { b; }; f", &["a", "b", "f"]),
            ("( a; b ) > x; c <(d)", &["a", "b", "d", "c ?"]),
            ("a <<E\nnot run $(b)\nE\nc", &["a", "b", ": not run ?\n", "c"]),
            ("a <<'E'\nnot $(b)\nE\nc", &["a", "c"]),
            ("a \\\n b # c\nd 2>&1 >/dev/null e", &["a b", "d e"]),
            ("[[ a > b && $(c) ]] && d", &["c", "d"]),
            ("P=/x; $P y", &["/x y"]),
            ("P=/x; P=/y; \"${P}\" z", &["/x|/y z"]),
            ("$P; ${Q:-/z}; $1", &["?", "/z", "?"]),
            ("for p in /a /b; do $p; done", &["/a|/b"]),
            ("A=(/a /b); ${A[0]}", &["/a|/b"]),
            ("export D=/d; exec $D/x", &["export D=/d", "exec /d/x"]),
            ("((i++)); a; if (( $x > 1 )); then b; fi", &["a", "b"]),
            ("a=$((1 + 2)); b $a", &["b ?"]),
            ("read p; $p", &["read p", "?"]),
        ] {
            assert_eq!(seen(text), expected, "{text}");
        }
    }

    #[test]
    fn the_files_that_a_script_writes_to_are_found() {
        let shell = parse("D=/sys; echo 1 >>\"$D/x\" 2>/dev/null; a >| b; c &> d; e >&2");
        let into: Vec<_> = shell
            .commands
            .iter()
            .flat_map(|command| &command.into)
            .flat_map(|word| shell.values(word, &BTreeMap::new()))
            .collect();
        assert_eq!(into, ["/sys/x", "/dev/null", "b", "d"]);
    }

    #[test]
    fn a_syntax_error_is_reported_with_its_line() {
        for text in [
            "a\necho 'b",
            "a\n$(b",
            "a\necho \"b",
            "a\n`b",
            "a\ncase x in",
            "a\ncat <<E\nb",
            "a\n${b",
        ] {
            assert_eq!(parse(text).odd.map(|(line, _)| line), Some(2), "{text}");
        }
    }

    #[test]
    fn a_command_of_very_many_words_is_given_up_quickly() {
        let shell = parse(&"! ".repeat(300_000));
        assert!(shell.odd.is_some());
    }

    #[test]
    fn mutually_recursive_variables_become_unknown() {
        let lines: String = (0..300).map(|n| format!("a=\"$b$a{n}\"; b=\"$a$b{n}\"\n")).collect();
        let shell = parse(&format!("{lines}$a"));
        let last = &shell.commands.last().expect("a command").words[0];
        let values = shell.values(last, &BTreeMap::new());
        assert!(values.iter().all(|value| value.contains(UNKNOWN)), "{values:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in ".{0,200}") {
            parse(&text);
        }

        #[test]
        fn text_similar_to_a_script_is_parsed_without_a_panic(text in "(case x in|esac|;;|\\)|\\(|\\$\\(|`|\"|'|\\$\\{|\\}|<<E|\n|E|for i in|do|done|if|fi|\\[\\[|\\]\\]|x=|a|\\$x| |&|\\||>|<|#|\\\\){0,40}") {
            let shell = parse(&text);
            for command in &shell.commands {
                for word in &command.words {
                    shell.values(word, &BTreeMap::new());
                }
            }
        }
    }
}
