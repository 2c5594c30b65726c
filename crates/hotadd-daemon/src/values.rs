//! Parsers of values that the command line and the configuration share: durations, names, message buses.

use std::time::Duration;

use hotadd_service::BusAddress;

/// A message bus: session, system or an address.
///
/// # Errors
/// The text is not a bus; the error shows what a bus looks like.
pub fn bus(text: &str) -> Result<BusAddress, String> {
    let no_bus = |_| {
        "a bus must be session, system or an address such as unix:path=/run/user/1000/bus"
            .to_owned()
    };
    text.parse().map_err(no_bus)
}

/// The name of a partition.
///
/// # Errors
/// It is not a valid name; the error shows what a name looks like.
pub fn name(text: &str) -> Result<String, String> {
    if hotadd_service::is_name(text) {
        return Ok(text.to_owned());
    }
    Err("a name has 1 to 64 characters of A-Z a-z 0-9 . _ - and does not start with a dot"
        .to_owned())
}

/// The longest duration that is accepted.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration, of a day at most.
///
/// # Errors
/// It is not a valid duration; the error shows what a duration looks like.
pub fn duration(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like 500ms or 2s"))?;
    if time > LONGEST {
        return Err("it is longer than a day".to_owned());
    }
    Ok(time)
}

/// The longest time limit that a party in another process may have.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// A time limit of a party in another process.
///
/// # Errors
/// It is not a valid time limit; the error gives the range.
pub fn timeout(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_millis(1) || time > LONGEST_TIMEOUT {
        return Err("a time limit must be from 1ms to 10m".to_owned());
    }
    Ok(time)
}
