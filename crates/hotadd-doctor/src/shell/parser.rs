//! Commands of shell text: operators, redirections, reserved words, assignments and functions.

use super::{Piece, Shell, Simple, Word};

/// The deepest nesting of commands.
pub(super) const NESTED: usize = 24;

/// The most words of a command.
const WORDS: usize = 1024;

/// Words after which a command begins.
const BEFORE: [&str; 14] = [
    "if", "then", "else", "elif", "fi", "do", "done", "while", "until", "!", "{", "}", "time",
    "esac",
];

/// Commands that assign to the variables they name.
const DECLARES: [&str; 6] = ["export", "local", "readonly", "declare", "typeset", "setenv"];

/// A position in a text.
pub(super) struct Reader<'a> {
    text: Vec<char>,
    at: usize,
    pub(super) line: usize,
    pub(super) depth: usize,
    /// Between `[[` and `]]`, where operators are words.
    pub(super) in_test: bool,
    pub(super) shell: &'a mut Shell,
    current: Simple,
    /// The end marks of texts that begin on the next line, and whether commands inside the text are read.
    texts: Vec<(String, bool)>,
}

pub(super) fn read(text: &str, shell: &mut Shell) {
    Reader::new(text, 1, 0, shell).commands(false);
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &str, line: usize, depth: usize, shell: &'a mut Shell) -> Self {
        Reader {
            text: text.chars().collect(),
            at: 0,
            line,
            depth,
            in_test: false,
            shell,
            current: Simple::default(),
            texts: Vec::new(),
        }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += 1;
        self.line += usize::from(char == '\n');
        Some(char)
    }

    pub(super) fn last(&self) -> Option<char> {
        self.text.get(self.at.checked_sub(1)?).copied()
    }

    pub(super) fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.next();
        }
    }

    /// Records where the text cannot be parsed.
    pub(super) fn odd(&mut self, line: usize, why: &'static str) {
        self.shell.odd.get_or_insert((line, why));
    }

    /// Reads commands up to the parenthesis that ends them.
    pub(super) fn nested(&mut self, from: usize) {
        if self.depth >= NESTED {
            self.at = self.text.len();
            return self.odd(from, "commands are nested too deeply");
        }
        let outer = std::mem::take(&mut self.current);
        let in_test = std::mem::take(&mut self.in_test);
        self.depth += 1;
        if !self.commands(true) {
            self.odd(from, "a parenthesis is not closed");
        }
        self.depth -= 1;
        (self.current, self.in_test) = (outer, in_test);
    }

    /// Reads everything, or with `inside` up to a closing parenthesis. Returns whether there was one.
    pub(super) fn commands(&mut self, inside: bool) -> bool {
        // One entry for each surrounding `case`: whether its patterns come next.
        let mut cases: Vec<bool> = Vec::new();
        let mut open = 0;
        loop {
            let Some(char) = self.peek() else {
                self.finish(&mut cases);
                if !self.texts.is_empty() {
                    self.odd(self.line, "a here-document (<<) is not terminated");
                }
                if !cases.is_empty() {
                    self.odd(self.line, "a case is not closed");
                }
                return false;
            };
            let two = (char, self.peek_at(1));
            match char {
                '\n' => {
                    self.finish(&mut cases);
                    self.next();
                    self.here_texts();
                }
                _ if char.is_whitespace() => self.skip(1),
                '\\' if two.1 == Some('\n') => self.skip(2),
                '#' => {
                    while self.peek().is_some_and(|char| char != '\n') {
                        self.next();
                    }
                }
                _ if cases.last() == Some(&true) => self.pattern(&mut cases),
                ';' if matches!(two.1, Some(';' | '&')) => {
                    self.finish(&mut cases);
                    self.skip(2);
                    if self.peek() == Some('&') {
                        self.next();
                    }
                    if let Some(patterns) = cases.last_mut() {
                        *patterns = true;
                    }
                }
                '&' if two.1 == Some('>') => self.redirection(),
                ';' | '&' => {
                    self.finish(&mut cases);
                    self.next();
                }
                '|' => {
                    self.finish(&mut cases);
                    self.next();
                    let or = self.peek() == Some('|');
                    if or || self.peek() == Some('&') {
                        self.next();
                    }
                    self.current.piped = !or;
                }
                '(' if two.1 == Some('(') && self.begins() => self.arithmetic(),
                '(' => {
                    self.next();
                    if !self.parenthesis() {
                        self.finish(&mut cases);
                        open += 1;
                    }
                }
                ')' => {
                    self.finish(&mut cases);
                    self.next();
                    if open == 0 && inside {
                        return true;
                    }
                    open = usize::saturating_sub(open, 1);
                }
                '<' | '>' if two.1 != Some('(') => self.redirection(),
                _ => {
                    let line = self.line;
                    let word = self.word();
                    self.add(word, line, &mut cases);
                }
            }
        }
    }

    /// Whether a command begins here.
    fn begins(&self) -> bool {
        self.current
            .words
            .iter()
            .all(|word| !word.quoted && word.literal().is_some_and(|text| BEFORE.contains(&text)))
    }

    fn add(&mut self, word: Word, line: usize, cases: &mut Vec<bool>) {
        // A number directly before a redirection is a descriptor.
        let number = word
            .literal()
            .is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        if number && !word.quoted && matches!(self.peek(), Some('<' | '>')) {
            return;
        }
        if self.current.words.is_empty() {
            self.current.line = line;
        }
        if self.current.words.len() >= WORDS {
            return self.odd(line, "a command has too many words");
        }
        let is = |word: &Word, text: &str| !word.quoted && word.literal() == Some(text);
        if self.begins() && is(&word, "[[") {
            return self.test();
        }
        let words = &mut self.current.words;
        words.push(word);
        let [.., case, _, last] = &words[..] else { return };
        let before = words.len() - 3;
        if is(case, "case")
            && is(last, "in")
            && words[..before].iter().all(|word| BEFORE.iter().any(|one| is(word, one)))
        {
            words.clear();
            cases.push(true);
        }
    }

    /// Reads `[[ ... ]]`, after its beginning.
    fn test(&mut self) {
        let from = self.line;
        self.in_test = true;
        loop {
            while self.peek().is_some_and(char::is_whitespace) {
                self.next();
            }
            if self.peek().is_none() {
                self.odd(from, "a test is not closed");
                break;
            }
            if self.word().literal() == Some("]]") {
                break;
            }
        }
        self.in_test = false;
        self.current.words.clear();
    }

    /// Reads a pattern of a `case`, or its end.
    fn pattern(&mut self, cases: &mut Vec<bool>) {
        match self.peek() {
            Some(')') => {
                self.next();
                if let Some(patterns) = cases.last_mut() {
                    *patterns = false;
                }
            }
            Some('(' | '|' | ';' | '&' | '<' | '>') => self.skip(1),
            _ => {
                let word = self.word();
                if word.literal() == Some("esac") && !word.quoted {
                    cases.pop();
                }
            }
        }
    }

    /// Handles a parenthesis that has been read. Returns true if it begins a function or a list of values.
    fn parenthesis(&mut self) -> bool {
        let last = self.current.words.last().and_then(Word::literal).map(str::to_owned);
        if let Some(name) = last.as_deref().and_then(|last| last.strip_suffix('=')) {
            let name = name.trim_end_matches('+').to_owned();
            self.current.words.pop();
            self.list(&name);
            return true;
        }
        let space =
            self.text[self.at..].iter().take_while(|char| matches!(char, ' ' | '\t')).count();
        if self.peek_at(space) == Some(')')
            && let Some(name) = last
        {
            self.skip(space + 1);
            self.shell.functions.insert(name);
            self.current = Simple::default();
            return true;
        }
        false
    }

    /// `NAME=(VALUES)`, after the parenthesis.
    fn list(&mut self, name: &str) {
        let from = self.line;
        loop {
            match self.peek() {
                None => return self.odd(from, "a parenthesis is not closed"),
                Some(')') => return self.skip(1),
                Some('#') => {
                    while self.peek().is_some_and(|char| char != '\n') {
                        self.next();
                    }
                }
                Some(char) if char.is_whitespace() || ";&|<>(".contains(char) => self.skip(1),
                Some(_) => {
                    let word = self.word();
                    self.shell.assigned.entry(name.to_owned()).or_default().push(word);
                }
            }
        }
    }

    /// `>FILE`, `<FILE`, `<<END` and similar.
    fn redirection(&mut self) {
        let mut mark = String::new();
        while let Some(char) = self.peek().filter(|char| "<>&|".contains(*char)) {
            // `>(` begins a word.
            if mark.len() > 2
                || (!mark.is_empty() && matches!(char, '<' | '>') && self.peek_at(1) == Some('('))
            {
                break;
            }
            mark.push(char);
            self.next();
        }
        let dash = mark == "<<" && self.peek() == Some('-');
        if dash {
            self.next();
        }
        while self.peek().is_some_and(|char| matches!(char, ' ' | '\t')) {
            self.next();
        }
        let word = self.word();
        if mark == "<<" {
            self.current.fed = true;
            self.texts.push((word.literal().unwrap_or_default().to_owned(), !word.quoted));
            return;
        }
        self.current.fed |= mark.starts_with('<') && mark != "<>";
        let descriptor = mark.ends_with('&')
            && word
                .literal()
                .is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'));
        if mark.contains('>') && !descriptor {
            self.current.into.push(word);
        }
    }

    /// Skips the texts that the preceding commands read. Commands inside of them are read.
    fn here_texts(&mut self) {
        for (end, read) in std::mem::take(&mut self.texts) {
            let from = self.line.saturating_sub(1);
            let mut inside = String::new();
            loop {
                if self.peek().is_none() {
                    self.odd(from, "a here-document (<<) is not terminated");
                    break;
                }
                let mut line = String::new();
                while let Some(char) = self.next().filter(|char| *char != '\n') {
                    line.push(char);
                }
                if line.trim_start_matches('\t') == end {
                    break;
                }
                inside.push_str(&line);
                inside.push('\n');
            }
            if read && (inside.contains("$(") || inside.contains('`')) {
                // Only what is inside the marks is run. The rest is treated as quoted.
                let text = format!(": \"{}\"", inside.replace('"', " "));
                self.inner(&text);
            }
        }
    }

    /// Handles the end of a command.
    fn finish(&mut self, cases: &mut Vec<bool>) {
        let mut simple = std::mem::take(&mut self.current);
        while let Some(first) = simple.words.first() {
            let text = if first.quoted { None } else { first.literal() };
            match text {
                Some("esac") => {
                    cases.pop();
                    simple.words.remove(0);
                }
                Some(text) if BEFORE.contains(&text) => {
                    simple.words.remove(0);
                }
                Some("for" | "select") => {
                    let name = simple.words.get(1).and_then(Word::literal).map(str::to_owned);
                    let values = simple.words.into_iter().skip(3);
                    if let Some(name) = name {
                        self.shell.assigned.entry(name).or_default().extend(values);
                    }
                    return;
                }
                Some("function") => {
                    let name = simple.words.get(1).and_then(Word::literal).map(str::to_owned);
                    self.shell.functions.extend(name);
                    simple.words.drain(..simple.words.len().min(2));
                }
                _ => match assignment(first) {
                    Some((name, value)) => {
                        self.shell.assigned.entry(name).or_default().push(value);
                        simple.words.remove(0);
                    }
                    None => break,
                },
            }
        }
        if simple.words.is_empty() && simple.into.is_empty() {
            return;
        }
        self.declares(&simple);
        if self.shell.commands.len() < 20_000 {
            self.shell.commands.push(simple);
        } else {
            self.odd(simple.line, "it has too many commands");
        }
    }

    /// Records the assignments of a command to the variables that it names.
    fn declares(&mut self, simple: &Simple) {
        let Some(program) = simple.words.first().and_then(Word::literal) else { return };
        let rest = &simple.words[1..];
        if DECLARES.contains(&program) {
            for (name, value) in rest.iter().filter_map(assignment) {
                self.shell.assigned.entry(name).or_default().push(value);
            }
        } else if ["read", "getopts", "mapfile", "readarray", "printf", "let"].contains(&program) {
            let names = rest.iter().filter_map(Word::literal).filter(|word| is_name(word));
            for name in names {
                let unknown = Word { pieces: vec![Piece::Unknown], quoted: false };
                self.shell.assigned.entry(name.to_owned()).or_default().push(unknown);
            }
        }
    }
}

/// `NAME=VALUE`, `NAME+=VALUE`.
fn assignment(word: &Word) -> Option<(String, Word)> {
    let Some(Piece::Literal(first)) = word.pieces.first() else { return None };
    let (name, value) = first.split_once('=')?;
    let more = name.ends_with('+');
    let name = name.trim_end_matches('+');
    let name = name.split_once('[').map_or(name, |(name, _)| name);
    if !is_name(name) {
        return None;
    }
    let mut pieces = vec![Piece::Literal(value.to_owned())];
    pieces.extend_from_slice(&word.pieces[1..]);
    if more {
        pieces.insert(0, Piece::Unknown);
    }
    Some((name.to_owned(), Word { pieces, quoted: word.quoted }))
}

fn is_name(word: &str) -> bool {
    word.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && word.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}
