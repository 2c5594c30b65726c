//! Parses a udev rules file into lines and tokens. Their meaning is evaluated elsewhere.

use std::ops::Range;

/// How a token compares or assigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Is,
    IsNot,
    Set,
    Add,
    Remove,
    Final,
}

impl Op {
    pub(crate) fn compares(self) -> bool {
        matches!(self, Self::Is | Self::IsNot)
    }
}

/// One `KEY{attribute}op"value"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) key: String,
    pub(crate) attribute: Option<Vec<u8>>,
    pub(crate) op: Op,
    pub(crate) value: Vec<u8>,
    /// Upper and lower case are equal.
    pub(crate) caseless: bool,
    /// Its position in the line's text.
    pub(crate) span: Range<usize>,
}

impl Token {
    pub(crate) fn is(&self, key: &str) -> bool {
        self.key == key
    }
}

/// One rule, which may span several lines of the file.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Its first and last line in the file, counted from 1.
    pub(crate) lines: (usize, usize),
    /// The text joined from its lines.
    pub(crate) text: Vec<u8>,
    /// Empty for a line that is not valid and that udev ignores too.
    pub(crate) tokens: Vec<Token>,
}

impl Rule {
    /// The value of a token that assigns.
    pub(crate) fn assigned(&self, key: &str) -> Option<&[u8]> {
        let mut tokens = self.tokens.iter().filter(|token| token.is(key) && !token.op.compares());
        tokens.next().map(|token| token.value.as_slice())
    }
}

/// Parses a file. Comments and empty lines are left out.
pub(crate) fn parse(file: &[u8]) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut begun: Option<(usize, Vec<u8>)> = None;
    for (number, line) in (1..).zip(file.split(|&byte| byte == b'\n')) {
        let line = line.trim_ascii_start();
        // A comment line inside a rule that continues does not end the rule.
        if line.first() == Some(&b'#') {
            continue;
        }
        let (first, mut text) = begun.take().unwrap_or((number, Vec::new()));
        if let Some(line) = line.strip_suffix(b"\\") {
            text.extend_from_slice(line);
            begun = Some((first, text));
            continue;
        }
        text.extend_from_slice(line);
        if !text.trim_ascii().is_empty() {
            let tokens = tokens(&text).unwrap_or_default();
            rules.push(Rule { lines: (first, number), text, tokens });
        }
    }
    // A rule that the end of the file cuts off is ignored.
    rules
}

/// The tokens of a line. None if a part of it is not a token: then the whole line is ignored.
fn tokens(text: &[u8]) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at += count(&text[at..], |byte| byte.is_ascii_whitespace() || byte == b',');
        if at == text.len() {
            return Some(found);
        }
        let start = at;
        at += count(&text[at..], |byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let key = String::from_utf8(text[start..at].to_vec()).ok().filter(|key| !key.is_empty())?;
        let mut attribute = None;
        if text.get(at) == Some(&b'{') {
            let length = text[at..].iter().position(|&byte| byte == b'}')?;
            attribute = Some(text[at + 1..at + length].to_vec());
            at += length + 1;
        }
        at += count(&text[at..], |byte| byte.is_ascii_whitespace());
        let (op, length) = match &text[at..] {
            [b'=', b'=', ..] => (Op::Is, 2),
            [b'!', b'=', ..] => (Op::IsNot, 2),
            [b'+', b'=', ..] => (Op::Add, 2),
            [b'-', b'=', ..] => (Op::Remove, 2),
            [b':', b'=', ..] => (Op::Final, 2),
            [b'=', ..] => (Op::Set, 1),
            _ => return None,
        };
        at += length;
        at += count(&text[at..], |byte| byte.is_ascii_whitespace());
        let marks = count(&text[at..], |byte| matches!(byte, b'e' | b'i'));
        let caseless = text[at..at + marks].contains(&b'i');
        at += marks;
        let (value, length) = quoted(&text[at..])?;
        at += length;
        found.push(Token { key, attribute, op, value, caseless, span: start..at });
    }
}

/// A quoted text without its quotes, and its length with them. A backslash before a quote keeps it from ending the text.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let (mut value, mut at) = (Vec::new(), 1);
    loop {
        match (text.get(at)?, text.get(at + 1)) {
            (b'"', _) => return Some((value, at + 1)),
            (b'\\', Some(b'"')) => {
                value.push(b'"');
                at += 2;
            }
            (&byte, _) => {
                value.push(byte);
                at += 1;
            }
        }
    }
}

fn count(text: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|&&byte| wanted(byte)).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rule_is_split_into_keys_attributes_operators_and_values() {
        let rules = parse(b"SUBSYSTEM==\"cpu\", ATTR{online}!=\"1\" ATTR{online} = \"1\",,\n");
        let [rule] = &rules[..] else { panic!("one rule, not {rules:?}") };
        let seen: Vec<_> = rule.tokens.iter().map(|token| (&*token.key, token.op)).collect();
        assert_eq!(seen, [("SUBSYSTEM", Op::Is), ("ATTR", Op::IsNot), ("ATTR", Op::Set)]);
        assert_eq!(rule.tokens[1].attribute.as_deref(), Some(&b"online"[..]));
        assert_eq!(&rule.text[rule.tokens[2].span.clone()], b"ATTR{online} = \"1\"");
    }

    #[test]
    fn a_rule_continues_after_a_backslash_and_across_comments() {
        let rules =
            parse(b"\n# no\\\nA==\"1\", \\\n  # in between \\\n  B=\"2\"\nC=\"3\"\nD=\"4\" \\");
        let lines: Vec<_> = rules.iter().map(|rule| rule.lines).collect();
        assert_eq!(lines, [(3, 5), (6, 6)], "the last rule is incomplete and ignored");
        assert_eq!(rules[0].tokens.len(), 2);
    }

    #[test]
    fn quotes_and_prefixes_of_a_value_are_read() {
        let rules = parse(b"RUN+=\"sh -c \\\"x, #y\\\"\", KERNEL==i\"CPU*\", A:=e\"b\"");
        let tokens = &rules[0].tokens;
        assert_eq!(tokens[0].value, b"sh -c \"x, #y\"");
        assert!(tokens[1].caseless && !tokens[2].caseless);
        assert_eq!(tokens[2].op, Op::Final);
    }

    #[test]
    fn a_line_that_is_not_a_rule_has_no_tokens() {
        for line in ["nonsense", "A=1", "A==\"1", "A{b=\"1\"", "=\"1\"", "A==\"1\" B"] {
            let rules = parse(line.as_bytes());
            assert!(rules[0].tokens.is_empty(), "{line}: {rules:?}");
        }
    }

    proptest! {
        #[test]
        fn any_file_is_parsed_without_a_panic_and_spans_are_inside(file in prop::collection::vec(any::<u8>(), 0..400)) {
            for rule in parse(&file) {
                prop_assert!(rule.lines.0 <= rule.lines.1);
                for token in rule.tokens {
                    prop_assert!(token.span.end <= rule.text.len());
                }
            }
        }

        #[test]
        fn text_similar_to_rules_is_parsed_without_a_panic(file in "([A-Z]{1,3}(\\{[a-z]{0,2}\\}?)?[=!+:-]{1,2}[ei]?\"?[a-z\\\\]{0,3}\"?[, \\\\#\n]{0,3}){0,20}") {
            for rule in parse(file.as_bytes()) {
                for token in rule.tokens {
                    prop_assert!(rule.text[token.span].ends_with(b"\""));
                }
            }
        }
    }
}
