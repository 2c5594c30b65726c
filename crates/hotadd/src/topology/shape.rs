//! [`Shape`]: the topology of a machine that does not exist.

use std::fmt;
use std::num::NonZero;
use std::str::FromStr;

use hotadd_core::{HardwareId, MAX_PROCESSORS};

use super::{L3, Topology};
use crate::CpuList;

/// A machine of equal packages, each with equal cores, each with equal threads: `2x8x2`. Each package is a memory node and has one
/// cache of level 3.
///
/// The processors are numbered from 0, those of one core after each other, and the cores of one package after each other.
///
/// ```
/// use hotadd::Shape;
///
/// let shape: Shape = "2x8x2".parse()?;
/// assert_eq!(shape.processors(), 32);
/// # Ok::<(), hotadd::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    packages: NonZero<u32>,
    cores: NonZero<u32>,
    threads: NonZero<u32>,
}

/// Why there is no such shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// The text has another form.
    #[error("{0:?} is not PACKAGESxCORESxTHREADS, such as 2x8x2")]
    Form(String),
    /// No package, core or thread.
    #[error("a machine has at least one package, one core in each, and one thread in each")]
    Empty,
    /// More processors than a partition can have.
    #[error("{0} has more than {MAX_PROCESSORS} processors (32 groups of 64)")]
    TooMany(String),
}

impl Shape {
    /// `packages` packages of `cores` cores of `threads` threads.
    ///
    /// # Errors
    /// If one of them is 0, or the processors are more than 2,048.
    pub fn new(packages: u32, cores: u32, threads: u32) -> Result<Self, ShapeError> {
        let number = |number| NonZero::new(number).ok_or(ShapeError::Empty);
        let all = packages.checked_mul(cores).and_then(|cores| cores.checked_mul(threads));
        let shape =
            Self { packages: number(packages)?, cores: number(cores)?, threads: number(threads)? };
        match all {
            Some(all) if all <= MAX_PROCESSORS => Ok(shape),
            _ => Err(ShapeError::TooMany(shape.to_string())),
        }
    }

    /// The number of processors.
    #[must_use]
    pub const fn processors(self) -> u32 {
        self.packages.get() * self.cores.get() * self.threads.get()
    }

    /// Where a processor of this machine is; nothing is known of any other.
    pub(crate) fn topology(self, HardwareId(id): HardwareId) -> Topology {
        if id >= self.processors() {
            return Topology::default();
        }
        let in_package = self.cores.get() * self.threads.get();
        let (core, package) = (id / self.threads, id / in_package);
        let list =
            |nth: u32, of: u32| (nth * of..(nth + 1) * of).map(HardwareId).collect::<CpuList>();
        Topology {
            core: Some(core % self.cores),
            package: Some(package),
            die: Some(0),
            cluster: None,
            node: Some(package),
            siblings: Some(list(core, self.threads.get())),
            l3: Some(L3 { id: Some(package), shared: list(package, in_package) }),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.packages, self.cores, self.threads)
    }
}

impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        let form = || ShapeError::Form(text.chars().take(40).collect());
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<_> = text.splitn(4, 'x').collect();
        let [packages, cores, threads] = *parts.as_slice() else { return Err(form()) };
        if ![packages, cores, threads].into_iter().all(digits) {
            return Err(form());
        }
        let too_many = || ShapeError::TooMany(text.chars().take(40).collect());
        let number = |part: &str| part.parse().map_err(|_| too_many());
        Self::new(number(packages)?, number(cores)?, number(threads)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processors_of_a_core_and_of_a_package_follow_each_other() {
        let shape = Shape::new(2, 3, 2).unwrap();
        let at = |id| shape.topology(HardwareId(id));
        let place = |id| (at(id).package.unwrap(), at(id).core.unwrap());
        let all: Vec<_> = (0..12).map(place).collect();
        let want = [(0, 0), (0, 0), (0, 1), (0, 1), (0, 2), (0, 2)];
        assert_eq!(all[..6], want);
        assert_eq!(all[6..], want.map(|(package, core)| (package + 1, core)));
        assert_eq!(at(7).siblings.unwrap().to_string(), "6-7");
        assert_eq!(at(7).l3, Some(L3 { id: Some(1), shared: "6-11".parse().unwrap() }));
        assert_eq!(at(7).node, Some(1), "each package is a node");
        assert_eq!(at(12), Topology::default(), "there is no such processor");
    }

    #[test]
    fn a_shape_survives_writing_and_reading_and_another_text_is_refused() {
        assert_eq!("2x8x2".parse::<Shape>().unwrap().to_string(), "2x8x2");
        assert_eq!("32x64x1".parse::<Shape>().unwrap().processors(), 2048);
        let refused = |text: &str| text.parse::<Shape>().unwrap_err();
        for text in ["", "2", "2x8", "2x8x2x1", "2x8x", "x8x2", "+2x8x2", "2x-8x2", "2 x8x2"] {
            assert!(matches!(refused(text), ShapeError::Form(_)), "{text:?}");
        }
        assert_eq!(refused("2x0x2"), ShapeError::Empty);
        for text in ["32x64x2", "65536x65536x1", "1x99999999999x1"] {
            let sentence = format!("{text} has more than 2048 processors (32 groups of 64)");
            assert_eq!(refused(text).to_string(), sentence);
        }
    }
}
