//! The handshake that begins a connection: D-Bus's SASL profile with EXTERNAL only, because the kernel has already
//! authenticated the peer.

/// The maximum length of a line, in bytes.
pub const LONGEST: usize = 256;

/// The line that asks whether descriptors may be passed along with messages.
pub const DESCRIPTORS: &str = "NEGOTIATE_UNIX_FD\r\n";

/// The last line.
pub const BEGIN: &[u8] = b"BEGIN\r\n";

/// The first line, which introduces this process as user `uid`. The answer is one line.
#[must_use]
pub fn introduction(uid: u32) -> String {
    format!("\0AUTH EXTERNAL {}\r\n", hex(uid))
}

/// Whether the answer, without its end, permits messages after [`BEGIN`].
#[must_use]
pub fn is_welcome(answer: &[u8]) -> bool {
    answer.starts_with(b"OK ")
}

/// Whether the answer to [`DESCRIPTORS`], without its end, permits descriptors.
#[must_use]
pub fn passes_descriptors(answer: &[u8]) -> bool {
    answer == b"AGREE_UNIX_FD"
}

/// The form of a user id in the handshake: the hexadecimal codes of its decimal digits.
#[must_use]
pub fn hex(uid: u32) -> String {
    uid.to_string().bytes().fold(String::new(), |hex, digit| format!("{hex}{digit:02x}"))
}

/// The reply to a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// This line, including its end.
    Line(String),
    /// No reply: the handshake is complete, and messages follow.
    Begin,
}

/// The state of the handshake.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub enum Step {
    /// Nothing is agreed yet.
    #[default]
    Unknown,
    /// The peer was asked for its identity.
    Asked,
    /// The peer is authenticated.
    Known,
    /// The peer is authenticated, and may be sent descriptors.
    Descriptors,
}

/// Answers a line of the peer, without its end. The peer must authenticate itself as `uid`, if that is given.
#[must_use]
pub fn answer(step: &mut Step, line: &str, uid: Option<u32>, guid: &str) -> Answer {
    let mut words = line.split(' ');
    let (command, first, second) = (words.next(), words.next(), words.next());
    let replies = match (*step, command, first) {
        (Step::Known | Step::Descriptors, Some("BEGIN"), None) => return Answer::Begin,
        (Step::Known | Step::Descriptors, Some("NEGOTIATE_UNIX_FD"), None) => {
            *step = Step::Descriptors;
            return Answer::Line("AGREE_UNIX_FD\r\n".to_owned());
        }
        (Step::Unknown, Some("AUTH"), Some("EXTERNAL")) if second.is_none() => {
            *step = Step::Asked;
            return Answer::Line("DATA\r\n".to_owned());
        }
        (Step::Unknown, Some("AUTH"), Some("EXTERNAL")) => second,
        // A peer that gives no identity is identified by the kernel.
        (Step::Asked, Some("DATA"), replies) => Some(replies.unwrap_or_default()),
        (_, Some("AUTH" | "CANCEL" | "ERROR"), _) => None,
        _ => return Answer::Line("ERROR unknown or out of place\r\n".to_owned()),
    };
    let agrees = |replies: &str| replies.is_empty() || uid.is_none_or(|uid| names(replies, uid));
    if replies.is_some_and(agrees) {
        *step = Step::Known;
        return Answer::Line(format!("OK {guid}\r\n"));
    }
    *step = Step::Unknown;
    Answer::Line("REJECTED EXTERNAL\r\n".to_owned())
}

/// Whether the text is this user id: the hexadecimal codes of its decimal digits.
fn names(replies: &str, uid: u32) -> bool {
    replies.eq_ignore_ascii_case(&hex(uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(lines: &[&str]) -> Vec<String> {
        replies_to(Some(1000), lines)
    }

    fn replies_to(uid: Option<u32>, lines: &[&str]) -> Vec<String> {
        let mut step = Step::default();
        let replies = lines.iter().map(|line| match answer(&mut step, line, uid, "guid") {
            Answer::Line(line) => line.trim_end().to_owned(),
            Answer::Begin => "(begun)".to_owned(),
        });
        replies.collect()
    }

    #[test]
    fn a_client_with_the_expected_user_begins() {
        assert_eq!(replies(&["AUTH EXTERNAL 31303030", "BEGIN"]), ["OK guid", "(begun)"]);
        assert_eq!(replies(&["AUTH EXTERNAL", "DATA", "BEGIN"]), ["DATA", "OK guid", "(begun)"]);
        assert_eq!(replies(&["AUTH EXTERNAL", "DATA 31303030"]), ["DATA", "OK guid"]);
    }

    #[test]
    fn a_client_with_another_user_or_mechanism_is_rejected() {
        assert_eq!(replies(&["AUTH EXTERNAL 30"]), ["REJECTED EXTERNAL"]);
        assert_eq!(replies(&["AUTH", "AUTH ANONYMOUS 31"]), ["REJECTED EXTERNAL"; 2]);
        assert_eq!(replies(&["BEGIN"]), ["ERROR unknown or out of place"]);
        assert_eq!(
            replies(&["AUTH EXTERNAL", "CANCEL", "BEGIN"]),
            ["DATA", "REJECTED EXTERNAL", "ERROR unknown or out of place"]
        );
    }

    #[test]
    fn a_trusted_client_may_claim_any_user() {
        assert_eq!(
            replies_to(None, &["AUTH EXTERNAL 3635353334", "BEGIN"]),
            ["OK guid", "(begun)"]
        );
        assert_eq!(replies_to(None, &["AUTH ANONYMOUS 31", "BEGIN"])[0], "REJECTED EXTERNAL");
    }

    #[test]
    fn descriptors_are_passed_to_a_peer_that_asks_for_it_after_its_authentication() {
        let known = replies(&["AUTH EXTERNAL 31303030", "NEGOTIATE_UNIX_FD", "BEGIN"]);
        assert_eq!(known, ["OK guid", "AGREE_UNIX_FD", "(begun)"]);
        assert!(passes_descriptors(known[1].as_bytes()));
        assert_eq!(replies(&["NEGOTIATE_UNIX_FD"]), ["ERROR unknown or out of place"]);
        let mut step = Step::Known;
        let _ = answer(&mut step, "NEGOTIATE_UNIX_FD", None, "guid");
        assert_eq!(step, Step::Descriptors);
        let _ = answer(&mut step, "AUTH ANONYMOUS", None, "guid");
        assert_eq!(step, Step::Unknown, "a peer that begins again has agreed to nothing");
    }
}
