//! [`Since`]: from when on events are shown, as a person writes it.

use std::time::{Duration, SystemTime};

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// A number of at least this many is in milliseconds since 1970, as in the records; a lower one is in seconds.
const MILLISECONDS: u64 = 100_000_000_000;

/// A time in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since(pub(crate) u64);

impl Since {
    /// Reads a time: a duration before now (`10m`), a time of day (`12:30`), a date with or without a time
    /// (`2026-01-31 12:30`), a timestamp (`2026-01-31T12:30:00Z`), or seconds or milliseconds since 1970.
    ///
    /// # Errors
    /// If it is none of these, or out of range, in a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::parse_at(text, &Zoned::now())
    }

    fn parse_at(text: &str, now: &Zoned) -> Result<Self, String> {
        let text = text.trim();
        let none = || {
            "expected a duration such as 10m, a time such as 12:30 or 2026-01-31 12:30, or seconds \
             since 1970"
                .to_owned()
        };
        let number = text.strip_prefix('@').unwrap_or(text);
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            let number: u64 = number.parse().map_err(|_| none())?;
            let ms = if number >= MILLISECONDS { number } else { number * 1000 };
            return Ok(Self(ms));
        }
        if let Ok(before) = humantime::parse_duration(text) {
            return Ok(Self(before_now(before, now)));
        }
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return Ok(Self::of(timestamp));
        }
        if let Ok(time) = text.parse::<Time>() {
            let today = zoned(now.date().to_datetime(time), now.time_zone())?;
            // A time of day that is still to come was yesterday's.
            let past =
                if today > *now { today.checked_sub(1.day()).map_err(|_| none())? } else { today };
            return Ok(Self::of(past.timestamp()));
        }
        let date: DateTime = text.parse().map_err(|_| none())?;
        Ok(Self::of(zoned(date, now.time_zone())?.timestamp()))
    }

    fn of(timestamp: Timestamp) -> Self {
        Self(u64::try_from(timestamp.as_millisecond()).unwrap_or(0))
    }
}

fn before_now(before: Duration, now: &Zoned) -> u64 {
    let now = SystemTime::from(now.timestamp());
    let then = now.checked_sub(before).unwrap_or(SystemTime::UNIX_EPOCH);
    let since = then.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn zoned(time: DateTime, zone: &TimeZone) -> Result<Zoned, String> {
    zone.to_zoned(time).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31, 12:00 in a zone one hour east of UTC.
    fn noon() -> Zoned {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        "2026-01-31T12:00:00".parse::<DateTime>().unwrap().to_zoned(zone).unwrap()
    }

    const NOON: u64 = 1_769_857_200_000;

    #[test]
    fn durations_clock_times_dates_and_numbers_are_times() {
        let hour = 3_600_000;
        for (text, ms) in [
            ("0s", NOON),
            ("10m", NOON - 600_000),
            ("1h 30m", NOON - hour * 3 / 2),
            ("11:00", NOON - hour),
            ("11:59:59", NOON - 1000),
            ("13:00", NOON - 23 * hour),
            ("2026-01-31", NOON - 12 * hour),
            ("2026-01-31 10:30", NOON - hour * 3 / 2),
            ("2026-01-31T10:30:00", NOON - hour * 3 / 2),
            ("2026-01-31T11:00:00Z", NOON),
            ("1769857200", NOON),
            ("@1769857200", NOON),
            ("1769857200123", NOON + 123),
            ("100000years", 0),
        ] {
            assert_eq!(Since::parse_at(text, &noon()), Ok(Since(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_an_error_that_says_what_is() {
        for text in ["", "@", "soon", "25:00", "10", "-5m", "2026-02-31", "99999999999999999999999"]
        {
            match Since::parse_at(text, &noon()) {
                // Ten seconds after 1970 began.
                Ok(since) => assert_eq!((text, since), ("10", Since(10_000))),
                Err(why) => assert!(why.contains("such as 10m"), "{text}: {why}"),
            }
        }
    }
}
