//! Shell patterns as udev matches them, compared with a family of names at once: `cpu0`, `cpu1` and so on.

use std::collections::BTreeSet;

/// The longest pattern that is evaluated, limited by the bits of `Places`. Patterns of distributions have about 20 bytes.
const LONGEST: usize = 127;
/// The most digits of a processor's number: the kernel supports at most 8,192 processors.
const DIGITS: usize = 4;
/// The most kinds of numbers that a pattern may distinguish. Beyond that it is not evaluated.
const KINDS: usize = 8;

/// How many names of a family match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// None.
    Never,
    /// Some, or it is unknown.
    Maybe,
    /// All.
    Always,
}

impl Fit {
    pub(crate) fn not(self) -> Self {
        match self {
            Self::Never => Self::Always,
            Self::Maybe => Self::Maybe,
            Self::Always => Self::Never,
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always, _) | (_, Self::Always) => Self::Always,
            (Self::Never, Self::Never) => Self::Never,
            _ => Self::Maybe,
        }
    }
}

/// The names with this beginning that, if `numbered`, end with a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) numbered: bool,
}

/// One step of a pattern.
enum Step {
    Byte(u8),
    One,
    Any,
    Class {
        not: bool,
        ranges: Vec<(u8, u8)>,
    },
    /// The end of an alternative.
    End,
}

/// A set of positions in a pattern: a bit for each step.
type Places = u128;

/// Compares a pattern, which may have alternatives separated by `|`, with a family of names. With `caseless` case is ignored.
pub(crate) fn fit(pattern: &[u8], family: Family<'_>, caseless: bool) -> Fit {
    if pattern.len() > LONGEST {
        return Fit::Maybe;
    }
    let (steps, starts) = compile(pattern);
    let mut at = starts;
    for &byte in family.name {
        at = after(&steps, at, byte, caseless);
    }
    let ends = |at| places(reach(&steps, at)).any(|place| matches!(steps[place], Step::End));
    if !family.numbered {
        return if ends(at) { Fit::Always } else { Fit::Never };
    }
    let (mut some, mut all) = (false, true);
    let mut kinds = BTreeSet::from([at]);
    for _ in 0..DIGITS {
        let mut next = BTreeSet::new();
        for &at in &kinds {
            next.extend((b'0'..=b'9').map(|digit| after(&steps, at, digit, caseless)));
        }
        for &at in &next {
            let fits = ends(at);
            (some, all) = (some || fits, all && fits);
        }
        if next.len() > KINDS {
            return Fit::Maybe;
        }
        kinds = next;
    }
    match (some, all) {
        (_, true) => Fit::Always,
        (true, false) => Fit::Maybe,
        (false, false) => Fit::Never,
    }
}

/// The positions in a set.
fn places(at: Places) -> impl Iterator<Item = usize> {
    (0..=LONGEST).filter(move |place| at >> place & 1 == 1)
}

/// All positions that can be reached without consuming a byte.
fn reach(steps: &[Step], at: Places) -> Places {
    let mut reached = at;
    for (place, step) in steps.iter().enumerate() {
        if reached >> place & 1 == 1 && matches!(step, Step::Any) {
            reached |= 1 << (place + 1);
        }
    }
    reached
}

fn after(steps: &[Step], at: Places, byte: u8, caseless: bool) -> Places {
    let same = |a: u8, b: u8| if caseless { a.eq_ignore_ascii_case(&b) } else { a == b };
    let mut next = 0;
    for place in places(reach(steps, at)) {
        match &steps[place] {
            Step::Any => {
                next |= 1 << place;
            }
            Step::One => {
                next |= 1 << (place + 1);
            }
            Step::Byte(wanted) if same(*wanted, byte) => {
                next |= 1 << (place + 1);
            }
            Step::Class { not, ranges } => {
                let within = |b: u8| ranges.iter().any(|&(from, to)| (from..=to).contains(&b));
                let inside = within(byte)
                    || caseless
                        && (within(byte.to_ascii_lowercase()) || within(byte.to_ascii_uppercase()));
                if inside != *not {
                    next |= 1 << (place + 1);
                }
            }
            Step::Byte(_) | Step::End => {}
        }
    }
    next
}

/// The steps of all alternatives, and the position where each begins.
fn compile(pattern: &[u8]) -> (Vec<Step>, Places) {
    let (mut steps, mut starts) = (Vec::new(), 0);
    for part in pattern.split(|&byte| byte == b'|') {
        starts |= 1 << steps.len();
        let mut rest = part;
        while let [first, behind @ ..] = rest {
            rest = behind;
            steps.push(match first {
                b'*' => Step::Any,
                b'?' => Step::One,
                b'\\' if !behind.is_empty() => {
                    rest = &behind[1..];
                    Step::Byte(behind[0])
                }
                b'[' => match class(behind) {
                    Some((class, behind)) => {
                        rest = behind;
                        class
                    }
                    None => Step::Byte(b'['),
                },
                &byte => Step::Byte(byte),
            });
        }
        steps.push(Step::End);
    }
    (steps, starts)
}

/// A bracket expression, after its opening bracket. None if it is not closed.
fn class(text: &[u8]) -> Option<(Step, &[u8])> {
    let not = matches!(text.first(), Some(b'!' | b'^'));
    let text = &text[usize::from(not)..];
    // A bracket directly at the beginning is one of the characters.
    let end = 1 + text.get(1..)?.iter().position(|&byte| byte == b']')?;
    let (mut ranges, mut inside) = (Vec::new(), &text[..end]);
    while let [from, rest @ ..] = inside {
        (ranges, inside) = match rest {
            [b'-', to, rest @ ..] => (with(ranges, (*from, *to)), rest),
            _ => (with(ranges, (*from, *from)), rest),
        };
    }
    Some((Step::Class { not, ranges }, &text[end + 1..]))
}

fn with<T>(mut list: Vec<T>, one: T) -> Vec<T> {
    list.push(one);
    list
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CPU: Family<'_> = Family { name: b"cpu", numbered: true };

    #[track_caller]
    fn check(pattern: &str, expected: Fit) {
        assert_eq!(fit(pattern.as_bytes(), CPU, false), expected, "{pattern} and cpu0, cpu1, ...");
    }

    #[test]
    fn a_pattern_for_every_processor_always_fits() {
        for pattern in
            ["cpu*", "cpu[0-9]*", "*", "?pu*", "c*", "memory*|cpu*", "cpu[!a-z]*", "*[0-9]"]
        {
            check(pattern, Fit::Always);
        }
    }

    #[test]
    fn a_pattern_for_some_processors_may_fit() {
        for pattern in ["cpu3", "cpu[1-9]*", "cpu?", "cpu*7", "memory0|cpu1", "cpu300"] {
            check(pattern, Fit::Maybe);
        }
    }

    #[test]
    fn a_pattern_for_other_devices_never_fits() {
        for pattern in ["", "memory*", "cpu", "cpus*", "CPU*", "cpu[a-z]*", "[cpu]", "cpu12345*"] {
            check(pattern, Fit::Never);
        }
        assert_eq!(fit(b"CPU*", CPU, true), Fit::Always, "it matches if case is ignored");
    }

    #[test]
    fn a_pattern_for_a_single_name_fits_or_does_not() {
        let vendor = Family { name: b"Xen", numbered: false };
        assert_eq!(fit(b"Xen", vendor, false), Fit::Always);
        assert_eq!(fit(b"Microsoft*|X?n", vendor, false), Fit::Always);
        assert_eq!(fit(b"Xe", vendor, false), Fit::Never);
        assert_eq!(fit(b"[]X]en", vendor, false), Fit::Always);
    }

    proptest! {
        #[test]
        fn any_pattern_is_matched_without_a_panic(pattern in prop::collection::vec(any::<u8>(), 0..300)) {
            fit(&pattern, CPU, pattern.len() % 2 == 0);
        }

        #[test]
        fn a_fit_agrees_with_matching_each_name(pattern in "[cpu0-9*?|\\[\\]!-]{0,12}") {
            let names: Vec<_> = (0..200).map(|number| format!("cpu{number}")).collect();
            let one = |name: &String| {
                let family = Family { name: name.as_bytes(), numbered: false };
                fit(pattern.as_bytes(), family, false) == Fit::Always
            };
            match fit(pattern.as_bytes(), CPU, false) {
                Fit::Never => prop_assert!(!names.iter().any(one)),
                Fit::Always => prop_assert!(names.iter().all(one)),
                Fit::Maybe => {}
            }
        }
    }
}
