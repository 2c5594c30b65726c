//! [`CpuList`]: a set of processors in the kernel's notation, `0-3,8`.

use std::fmt;
use std::str::FromStr;

use hotadd_core::HardwareId;

/// A set of hardware ids in the kernel's cpulist form: `0-3,8`. Ascending, each id once.
///
/// ```
/// use hotadd::CpuList;
///
/// let list: CpuList = "8,0-3,2".parse().unwrap();
/// assert_eq!(list.to_string(), "0-3,8");
/// assert_eq!(list.len(), 5);
/// assert_eq!("3-1".parse::<CpuList>().unwrap_err().to_string(), "the range 3-1 runs backwards");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CpuList(Vec<HardwareId>);

/// The largest hardware id that a list may name.
const LARGEST: u32 = 65_535;

impl CpuList {
    /// The ids, ascending.
    #[must_use]
    pub fn ids(&self) -> &[HardwareId] {
        &self.0
    }

    /// The number of ids.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the list contains this id.
    #[must_use]
    pub fn contains(&self, id: HardwareId) -> bool {
        self.0.binary_search(&id).is_ok()
    }
}

impl FromIterator<HardwareId> for CpuList {
    fn from_iter<I: IntoIterator<Item = HardwareId>>(ids: I) -> Self {
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Self(ids)
    }
}

/// Why a text is not a valid cpulist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpuListError {
    /// There is nothing between two commas, or at an end.
    #[error("it has an empty part; write a list like 0-3,8")]
    EmptyPart,
    /// A part is not a number.
    #[error("{0:?} is not a processor number; write a list like 0-3,8")]
    NotANumber(String),
    /// A number too large to be one.
    #[error("processor {0} is out of range; the largest is {LARGEST}")]
    TooLarge(String),
    /// `3-1`.
    #[error("the range {0}-{1} runs backwards")]
    Backwards(u32, u32),
}

impl FromStr for CpuList {
    type Err = CpuListError;

    fn from_str(text: &str) -> Result<Self, CpuListError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (from, to) = match part.split_once('-') {
                None => {
                    let id = number(part)?;
                    (id, id)
                }
                Some((from, to)) => (number(from)?, number(to)?),
            };
            if from > to {
                return Err(CpuListError::Backwards(from, to));
            }
            ranges.push((from, to));
        }
        // Merged as ranges: a hostile list may name the same one a thousand times over.
        ranges.sort_unstable();
        let mut ids = Vec::new();
        let mut next = 0;
        for (from, to) in ranges {
            ids.extend((from.max(next)..=to).map(HardwareId));
            next = next.max(to + 1);
        }
        Ok(Self(ids))
    }
}

fn number(text: &str) -> Result<u32, CpuListError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(CpuListError::EmptyPart);
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CpuListError::NotANumber(text.chars().take(40).collect()));
    }
    match text.parse() {
        Ok(id) if id <= LARGEST => Ok(id),
        _ => Err(CpuListError::TooLarge(text.chars().take(40).collect())),
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|a, b| a.0 + 1 == b.0);
        for (nth, run) in runs.enumerate() {
            let comma = if nth > 0 { "," } else { "" };
            match run {
                [one] => write!(f, "{comma}{one}")?,
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_survives_writing_and_reading() {
        for text in ["", "0", "0-1", "0-3,8", "1,3,5-7,64", "0-2047"] {
            let list: CpuList = text.parse().unwrap();
            assert_eq!(list.to_string(), text);
        }
        assert_eq!(
            " 1-2\n".parse::<CpuList>().unwrap().to_string(),
            "1-2",
            "as in the kernel's files"
        );
    }

    #[test]
    fn a_malformed_list_is_refused_with_a_sentence() {
        let cases = [
            ("a", "\"a\" is not a processor number; write a list like 0-3,8"),
            ("1,,2", "it has an empty part; write a list like 0-3,8"),
            (",", "it has an empty part; write a list like 0-3,8"),
            ("1-", "it has an empty part; write a list like 0-3,8"),
            ("-1", "it has an empty part; write a list like 0-3,8"),
            ("1-2-3", "\"2-3\" is not a processor number; write a list like 0-3,8"),
            ("+1", "\"+1\" is not a processor number; write a list like 0-3,8"),
            ("99999999999", "processor 99999999999 is out of range; the largest is 65535"),
            ("5-2", "the range 5-2 runs backwards"),
        ];
        for (text, sentence) in cases {
            assert_eq!(text.parse::<CpuList>().unwrap_err().to_string(), sentence, "for {text:?}");
        }
    }

    #[test]
    fn a_list_with_repetitions_stays_small() {
        let text = ["0-65535"; 200].join(",");
        assert_eq!(text.parse::<CpuList>().unwrap().len(), 65_536);
    }
}
