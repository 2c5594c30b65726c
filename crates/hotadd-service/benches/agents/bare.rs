//! What cannot be avoided: exchanges of the same number of bytes with other processes over Unix sockets.

use std::env;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

/// The size of a call of an agent, except for the length of a name.
const CALL: usize = 200;

/// The smallest reply: a header with the serial that it answers.
pub(crate) const REPLY: usize = 24;

/// Another process, which runs this program. It ends when its socket is closed, and is waited for.
pub(crate) struct Other(pub(crate) Child);

impl Other {
    pub(crate) fn start(arguments: &[&str], socket: Option<UnixStream>) -> Outcome<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(arguments);
        if let Some(socket) = socket {
            command.stdin(Stdio::from(OwnedFd::from(socket)));
        }
        Ok(Self(command.stdout(Stdio::piped()).spawn()?))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Its exit status does not matter.
        let _ = self.0.wait();
    }
}

/// Processes that answer, with a socket each.
pub(crate) struct Bare {
    // Closed before the other processes are waited for.
    sockets: Vec<UnixStream>,
    _others: Vec<Other>,
}

impl Bare {
    pub(crate) fn start(count: u32) -> Outcome<Self> {
        let mut all = Self { sockets: Vec::new(), _others: Vec::new() };
        for _ in 0..count {
            let (socket, its_own) = UnixStream::pair()?;
            all._others.push(Other::start(&["echo"], Some(its_own))?);
            all.sockets.push(socket);
        }
        Ok(all)
    }

    /// Asks all processes, and then reads all answers.
    pub(crate) fn exchange(&mut self, times: usize, samples: &mut Vec<Duration>) -> Outcome<()> {
        let mut reply = [0; REPLY];
        for _ in 0..times {
            let began = Instant::now();
            for socket in &mut self.sockets {
                socket.write_all(&[1; CALL])?;
            }
            for socket in &mut self.sockets {
                socket.read_exact(&mut reply)?;
            }
            samples.push(began.elapsed());
            black_box(&reply);
        }
        Ok(())
    }
}

/// The other process of a bare exchange.
pub(crate) fn echo() -> Outcome<()> {
    let mut socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut call = [0; CALL];
    while socket.read_exact(&mut call).is_ok() {
        socket.write_all(&call[..REPLY])?;
    }
    Ok(())
}
