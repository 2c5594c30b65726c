//! The handshake that begins a connection: D-Bus's SASL profile, EXTERNAL only. The kernel has said who the peer is before;
//! the handshake only has the peer agree with it.

use std::io;

use hotadd::wire::hello;

use crate::reader::{Lost, Reader};
use crate::socket::Socket;

/// How many lines a peer may need.
const LINES: usize = 16;

/// What a line is answered with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Line(String),
    Begin,
}

/// What has been agreed so far.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Step {
    #[default]
    Unknown,
    /// It was asked who it is.
    Asked,
    Known,
}

/// Lets the peer authenticate itself as `uid`, up to and with its BEGIN. Without one it may be anybody: who it is was settled
/// otherwise, and it may have become another user since.
pub(crate) async fn perform(
    reader: &mut Reader,
    socket: &Socket,
    uid: Option<u32>,
    guid: &str,
) -> Result<(), Lost> {
    let mut step = Step::default();
    for at in 0..LINES {
        let line = reader.line(hello::LONGEST).await?;
        let line = match (at, line.as_slice()) {
            (0, [0, line @ ..]) => line,
            (0, _) => return Err(Lost::Garbled("no handshake")),
            (_, line) => line,
        };
        let line = std::str::from_utf8(line).map_err(|_| Lost::Garbled("no handshake"))?;
        match answer(&mut step, line, uid, guid) {
            Answer::Begin => return Ok(()),
            Answer::Line(line) => write(socket, line.as_bytes()).await?,
        }
    }
    Err(Lost::Garbled("a handshake without end"))
}

/// The other side of it: introduces this process as `uid` to whoever listens.
pub(crate) async fn introduce(reader: &mut Reader, socket: &Socket, uid: u32) -> Result<(), Lost> {
    write(socket, hello::introduction(uid).as_bytes()).await?;
    if !hello::is_welcome(&reader.line(hello::LONGEST).await?) {
        return Err(Lost::Garbled("no agreement that we are who we are"));
    }
    write(socket, hello::BEGIN).await?;
    Ok(())
}

pub(crate) fn answer(step: &mut Step, line: &str, uid: Option<u32>, guid: &str) -> Answer {
    let mut words = line.split(' ');
    let (command, first, second) = (words.next(), words.next(), words.next());
    let said = match (*step, command, first) {
        (Step::Known, Some("BEGIN"), None) => return Answer::Begin,
        (Step::Known, Some("NEGOTIATE_UNIX_FD"), None) => {
            return Answer::Line("ERROR no descriptors are taken\r\n".to_owned());
        }
        (Step::Unknown, Some("AUTH"), Some("EXTERNAL")) if second.is_none() => {
            *step = Step::Asked;
            return Answer::Line("DATA\r\n".to_owned());
        }
        (Step::Unknown, Some("AUTH"), Some("EXTERNAL")) => second,
        // Who says nothing is who the kernel says.
        (Step::Asked, Some("DATA"), said) => Some(said.unwrap_or_default()),
        (_, Some("AUTH" | "CANCEL" | "ERROR"), _) => None,
        _ => return Answer::Line("ERROR unknown or out of place\r\n".to_owned()),
    };
    let agrees = |said: &str| said.is_empty() || uid.is_none_or(|uid| names(said, uid));
    if said.is_some_and(agrees) {
        *step = Step::Known;
        return Answer::Line(format!("OK {guid}\r\n"));
    }
    *step = Step::Unknown;
    Answer::Line("REJECTED EXTERNAL\r\n".to_owned())
}

/// Whether the hexadecimal digits of decimal digits say this user id.
fn names(said: &str, uid: u32) -> bool {
    said.eq_ignore_ascii_case(&hello::hex(uid))
}

async fn write(socket: &Socket, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.send_now(bytes) {
            Ok(wrote) => bytes = bytes.get(wrote..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(lines: &[&str]) -> Vec<String> {
        talk_to(Some(1000), lines)
    }

    fn talk_to(uid: Option<u32>, lines: &[&str]) -> Vec<String> {
        let mut step = Step::default();
        let said = lines.iter().map(|line| match answer(&mut step, line, uid, "guid") {
            Answer::Line(line) => line.trim_end().to_owned(),
            Answer::Begin => "(begun)".to_owned(),
        });
        said.collect()
    }

    #[test]
    fn those_who_are_who_they_say_begin() {
        assert_eq!(talk(&["AUTH EXTERNAL 31303030", "BEGIN"]), ["OK guid", "(begun)"]);
        assert_eq!(talk(&["AUTH EXTERNAL", "DATA", "BEGIN"]), ["DATA", "OK guid", "(begun)"]);
        assert_eq!(talk(&["AUTH EXTERNAL", "DATA 31303030"]), ["DATA", "OK guid"]);
    }

    #[test]
    fn others_do_not() {
        assert_eq!(talk(&["AUTH EXTERNAL 30"]), ["REJECTED EXTERNAL"]);
        assert_eq!(talk(&["AUTH", "AUTH ANONYMOUS 31"]), ["REJECTED EXTERNAL"; 2]);
        assert_eq!(talk(&["BEGIN"]), ["ERROR unknown or out of place"]);
        assert_eq!(
            talk(&["AUTH EXTERNAL", "CANCEL", "BEGIN"]),
            ["DATA", "REJECTED EXTERNAL", "ERROR unknown or out of place"]
        );
    }

    #[test]
    fn one_that_is_trusted_may_have_become_anybody() {
        assert_eq!(talk_to(None, &["AUTH EXTERNAL 3635353334", "BEGIN"]), ["OK guid", "(begun)"]);
        assert_eq!(talk_to(None, &["AUTH ANONYMOUS 31", "BEGIN"])[0], "REJECTED EXTERNAL");
    }

    #[test]
    fn descriptors_are_not_taken() {
        let said = talk(&["AUTH EXTERNAL 31303030", "NEGOTIATE_UNIX_FD", "BEGIN"]);
        assert_eq!(said, ["OK guid", "ERROR no descriptors are taken", "(begun)"]);
    }
}
