//! The handshake at the start of a connection: D-Bus's SASL profile, EXTERNAL only. The kernel has identified the peer
//! before; the handshake only has the peer confirm this.

use std::io;

use hotadd_wire::handshake::{self, Answer, Step};

use crate::transport::reader::{Lost, Reader};
use crate::transport::socket::Socket;

/// The maximum number of lines that a peer may send.
const LINES: usize = 16;

/// Lets the peer authenticate itself as `uid`, up to and including its BEGIN. Without `uid` any user is accepted: the peer
/// was identified otherwise, and may have changed its user since. Returns whether the peer may be sent descriptors.
pub(crate) async fn perform(
    reader: &mut Reader,
    socket: &Socket,
    uid: Option<u32>,
    guid: &str,
) -> Result<bool, Lost> {
    let mut step = Step::default();
    for at in 0..LINES {
        let line = reader.line(handshake::LONGEST).await?;
        let line = match (at, line.as_slice()) {
            (0, [0, line @ ..]) => line,
            (0, _) => return Err(Lost::Garbled("no valid handshake")),
            (_, line) => line,
        };
        let line = std::str::from_utf8(line).map_err(|_| Lost::Garbled("no valid handshake"))?;
        match handshake::answer(&mut step, line, uid, guid) {
            Answer::Begin => return Ok(step == Step::Descriptors),
            Answer::Line(line) => write(socket, line.as_bytes()).await?,
        }
    }
    Err(Lost::Garbled("a handshake that is too long"))
}

/// The client side of the handshake: introduces this process as `uid`.
pub(crate) async fn introduce(reader: &mut Reader, socket: &Socket, uid: u32) -> Result<(), Lost> {
    write(socket, handshake::introduction(uid).as_bytes()).await?;
    if !handshake::is_welcome(&reader.line(handshake::LONGEST).await?) {
        return Err(Lost::Garbled("a refusal of this process's authentication"));
    }
    write(socket, handshake::BEGIN).await?;
    Ok(())
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
