//! Words of shell text: quotes, variables, and commands inside of a word.

use super::parser::{self, Reader};
use super::{Piece, Word};

impl Reader<'_> {
    /// Reads the word that begins here. It is empty only if the next character ends words.
    pub(super) fn word(&mut self) -> Word {
        let mut word = Word::default();
        while let Some(char) = self.peek() {
            if self.ends_word(char) {
                break;
            }
            match char {
                '\'' => {
                    self.next();
                    word.quoted = true;
                    let from = self.line;
                    let text = self.until('\'', from);
                    push(&mut word, &text);
                }
                '"' => {
                    self.next();
                    word.quoted = true;
                    self.quoted(&mut word);
                }
                '\\' => {
                    self.next();
                    match self.next() {
                        Some('\n') | None => {}
                        Some(char) => {
                            word.quoted = true;
                            push(&mut word, &char.to_string());
                        }
                    }
                }
                '$' => self.dollar(&mut word),
                '`' => self.backquoted(&mut word),
                '<' | '>' if self.peek_at(1) == Some('(') && !self.in_test => {
                    self.skip(2);
                    self.substitution(&mut word);
                }
                _ => {
                    self.next();
                    push(&mut word, &char.to_string());
                }
            }
        }
        word
    }

    /// Whether a character ends an unquoted word.
    fn ends_word(&self, char: char) -> bool {
        if char.is_whitespace() {
            return true;
        }
        let process = matches!(char, '<' | '>') && self.peek_at(1) == Some('(');
        !self.in_test && !process && matches!(char, ';' | '&' | '|' | '<' | '>' | '(' | ')')
    }

    /// Reads text between double quotes. The first quote has been read.
    fn quoted(&mut self, word: &mut Word) {
        let from = self.line;
        // An empty pair of quotes is a word too.
        push(word, "");
        loop {
            match self.peek() {
                None => return self.odd(from, "a quotation mark is not closed"),
                Some('"') => {
                    self.next();
                    return;
                }
                Some('\\') => {
                    self.next();
                    match self.next() {
                        Some('\n') | None => {}
                        Some(char @ ('$' | '`' | '"' | '\\')) => push(word, &char.to_string()),
                        Some(char) => push(word, &format!("\\{char}")),
                    }
                }
                Some('$') => self.dollar(word),
                Some('`') => self.backquoted(word),
                Some(char) => {
                    self.next();
                    push(word, &char.to_string());
                }
            }
        }
    }

    /// Reads what begins with a dollar sign.
    fn dollar(&mut self, word: &mut Word) {
        self.next();
        match self.peek() {
            Some('(') if self.peek_at(1) == Some('(') => {
                self.arithmetic();
                word.pieces.push(Piece::Unknown);
            }
            Some('(') => {
                self.next();
                self.substitution(word);
            }
            Some('{') => {
                self.next();
                self.braced(word);
            }
            Some('\'') => {
                self.next();
                word.quoted = true;
                let from = self.line;
                let text = self.until('\'', from);
                // Escapes are not evaluated.
                if text.contains('\\') {
                    word.pieces.push(Piece::Unknown);
                } else {
                    push(word, &text);
                }
            }
            Some(char) if char.is_ascii_alphabetic() || char == '_' => {
                let mut name = String::new();
                while let Some(char) =
                    self.peek().filter(|char| char.is_ascii_alphanumeric() || *char == '_')
                {
                    name.push(char);
                    self.next();
                }
                word.pieces.push(Piece::Variable(name, None));
            }
            Some('0'..='9' | '@' | '*' | '#' | '?' | '$' | '!' | '-') => {
                self.next();
                word.pieces.push(Piece::Unknown);
            }
            _ => push(word, "$"),
        }
    }

    /// `${NAME...}`, after the brace.
    fn braced(&mut self, word: &mut Word) {
        let (from, mut depth, mut inside) = (self.line, 1, String::new());
        loop {
            match self.next() {
                None => return self.odd(from, "a brace is not closed"),
                Some('\\') => {
                    inside.push('\\');
                    inside.extend(self.next());
                    continue;
                }
                Some('{') => depth += 1,
                Some('}') => depth -= 1,
                Some(_) => {}
            }
            if depth == 0 {
                break;
            }
            inside.extend(self.last());
        }
        let end = inside
            .find(|char: char| !char.is_ascii_alphanumeric() && char != '_')
            .unwrap_or(inside.len());
        let (name, rest) = inside.split_at(end);
        if inside.contains("$(") || inside.contains('`') {
            self.inner(&inside);
        }
        let variable = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
        let default = ["-", ":-", "=", ":="].iter().find_map(|mark| rest.strip_prefix(mark));
        word.pieces.push(match default {
            _ if !variable => Piece::Unknown,
            Some(default) if !default.contains(['$', '`', '"', '\'', '\\']) => {
                Piece::Variable(name.to_owned(), Some(default.to_owned()))
            }
            None if rest.is_empty() || rest.starts_with('[') => {
                Piece::Variable(name.to_owned(), None)
            }
            _ => Piece::Unknown,
        });
    }

    /// `$(...)`, after the parenthesis.
    fn substitution(&mut self, word: &mut Word) {
        let from = self.line;
        self.nested(from);
        word.pieces.push(Piece::Unknown);
    }

    fn backquoted(&mut self, word: &mut Word) {
        self.next();
        let (from, mut text) = (self.line, String::new());
        loop {
            match self.next() {
                None => return self.odd(from, "a backquote is not closed"),
                Some('`') => break,
                Some('\\') => match self.next() {
                    Some(char @ ('`' | '\\' | '$')) => text.push(char),
                    Some(char) => text.extend(['\\', char]),
                    None => {}
                },
                Some(char) => text.push(char),
            }
        }
        self.inner(&text);
        word.pieces.push(Piece::Unknown);
    }

    /// `((...))`, from the first parenthesis on. Commands inside of it are read.
    pub(super) fn arithmetic(&mut self) {
        let (from, mut depth, mut inside) = (self.line, 0, String::new());
        loop {
            match self.next() {
                None => return self.odd(from, "a parenthesis is not closed"),
                Some('(') => depth += 1,
                Some(')') => depth -= 1,
                Some(_) => {}
            }
            inside.extend(self.last());
            if depth == 0 {
                break;
            }
        }
        if inside.contains("$(") || inside.contains('`') {
            self.inner(inside.trim_start_matches('('));
        }
    }

    /// Reads the commands inside a text of its own: those after dollar signs and between backquotes.
    pub(super) fn inner(&mut self, text: &str) {
        if self.depth >= parser::NESTED {
            return self.odd(self.line, "commands are nested too deeply");
        }
        let mut reader = Reader::new(text, self.line, self.depth + 1, self.shell);
        reader.commands(false);
    }

    /// Reads up to a character, which is consumed.
    fn until(&mut self, end: char, from: usize) -> String {
        let mut text = String::new();
        loop {
            match self.next() {
                None => {
                    self.odd(from, "a quotation mark is not closed");
                    return text;
                }
                Some(char) if char == end => return text,
                Some(char) => text.push(char),
            }
        }
    }
}

fn push(word: &mut Word, text: &str) {
    match word.pieces.last_mut() {
        Some(Piece::Literal(before)) => before.push_str(text),
        _ => word.pieces.push(Piece::Literal(text.to_owned())),
    }
}
