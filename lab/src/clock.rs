//! Whether a guest's clock goes at the right speed.
//!
//! At boot, Linux measures its processor's time stamp counter against another emulated clock. If QEMU's thread loses its processor in
//! the middle of that, the result may be wrong by any factor. All time limits in the guest are then wrong too, and those of a saved state
//! for all guests that are made of it. Linux cannot be told the speed: it is that of this machine's counter, and no file has it.

use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Guest};

/// The time over which the clocks are compared. The file has hundredths of a second.
const COMPARED: Duration = Duration::from_millis(300);

/// The greatest factor by which the clocks may differ.
const FACTOR: f64 = 1.25;

/// A reading of a guest's clock, at some time between two times of this machine.
struct Reading {
    clock: Duration,
    asked: Instant,
    answered: Instant,
}

impl Reading {
    fn of(guest: &Guest) -> Result<Self, Error> {
        let asked = Instant::now();
        let text = guest.read("/proc/uptime")?;
        let answered = Instant::now();
        let seconds = text.split(' ').next().and_then(|seconds| seconds.parse().ok());
        let clock = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let strange = || std::io::Error::other(format!("it says {text:?}"));
        let clock = clock.ok_or_else(|| Error::here("reading a guest's uptime")(strange()))?;
        Ok(Self { clock, asked, answered })
    }

    /// Whether the guest's clock has gone at the right speed since an earlier reading, as far as the readings tell.
    fn follows(&self, earlier: &Self) -> bool {
        let clock = self.clock.saturating_sub(earlier.clock);
        let least = self.asked.saturating_duration_since(earlier.answered);
        let most = self.answered.saturating_duration_since(earlier.asked);
        (least.div_f64(FACTOR)..=most.mul_f64(FACTOR)).contains(&clock)
    }
}

impl Guest {
    /// Whether its clock goes at the right speed.
    pub(crate) fn keeps_time(&self) -> Result<bool, Error> {
        let first = Reading::of(self)?;
        thread::sleep(COMPARED);
        Ok(Reading::of(self)?.follows(&first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_wrong_only_if_no_delay_of_the_readings_explains_it() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let read = |clock, asked, answered| Reading {
            clock: ms(clock),
            asked: start + ms(asked),
            answered: start + ms(answered),
        };
        let first = read(5_000, 0, 2);
        assert!(read(5_300, 302, 303).follows(&first), "it is right");
        assert!(!read(7_000, 302, 303).follows(&first), "it is six times as fast");
        assert!(!read(5_100, 302, 303).follows(&first), "it is three times as slow");
        assert!(read(5_900, 302, 950).follows(&first), "the second answer came late");
        let late = read(5_000, 0, 500);
        assert!(read(5_300, 800, 801).follows(&late), "it was read when the answer came");
        assert!(read(5_800, 800, 801).follows(&late), "it was read at once");
    }
}
