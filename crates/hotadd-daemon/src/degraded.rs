//! The messages about a party that the operator named and that is missing (L4), and what to do about it.

use std::time::SystemTime;

use hotadd::Missing;

/// `degraded: ready is missing since 2026-01-31T12:00:00Z: no answer in 5 s; ...`
pub(crate) fn line(missing: &Missing) -> String {
    since(&missing.party.name, missing.since, &missing.reason)
}

/// The same message for a party that has just gone missing.
pub(crate) fn now(name: &str, reason: &str) -> String {
    since(name, SystemTime::now(), reason)
}

/// The same message for a party that is missing since the given time.
#[must_use]
pub fn since(name: &str, since: SystemTime, reason: &str) -> String {
    // The time comes from a clock and may be out of range, so it is limited to the last time that can be written.
    let since = humantime::format_rfc3339_seconds(since.min(latest()));
    format!("degraded: {name} is missing since {since}: {reason}; {}", what_to_do(name))
}

/// The message that the party is present again.
pub(crate) fn present_again(name: &str) -> String {
    format!("{name} is registered again and is asked as before")
}

fn what_to_do(name: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "._-+/@".contains(c);
    let name = if name.chars().all(word) && !name.starts_with('-') {
        format!(" {name}")
    } else {
        format!("='{}'", name.replace('\'', "'\\''"))
    };
    format!(
        "nothing is added while it is missing (L4); to restart it, use `hotadd parties --restart{name}` or \
         reload the daemon"
    )
}

/// The last time that can be written: 9999-12-31.
fn latest() -> SystemTime {
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_799)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn l4_a_missing_party_is_reported_in_one_line_with_time_reason_and_advice() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let says = "degraded: ready is missing since 1970-01-01T00:00:01Z: no answer in 5 s; nothing is \
         added while it is missing (L4); to restart it, use `hotadd parties --restart ready` or reload the daemon";
        assert_eq!(since("ready", at, "no answer in 5 s"), says);
        for (name, restart) in
            [("a b", "--restart='a b'"), ("-x", "--restart='-x'"), ("it's", "--restart='it'\\''s'")]
        {
            let said = since(name, at, "why");
            assert!(said.contains(&format!("`hotadd parties {restart}`")), "{said}");
        }
        let far = at.checked_add(Duration::from_secs(1 << 62)).unwrap_or(at);
        assert!(since("ready", far, "why").starts_with("degraded: ready is missing since "));
    }
}
