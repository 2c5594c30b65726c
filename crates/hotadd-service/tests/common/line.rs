//! [`Line`]: an agent's end of a connection in raw bytes, cheap enough for a thousand of them on one thread.

use std::io;
use std::path::Path;

use hotadd::State;
use hotadd_wire as wire;
use tokio::io::Interest;
use tokio::net::UnixStream;
use zbus::Message;
use zbus::zvariant::ObjectPath;

/// The smallest reply: a header with the serial that it answers.
const REPLY: usize = 24;

/// The number of bytes read at once.
const CHUNK: usize = 4096;

/// A connection with one agent.
pub struct Line {
    stream: UnixStream,
    buffer: Vec<u8>,
}

/// A message that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A call of the agent, to be answered with the serial.
    Notice { serial: u32, party: u64, state: State, id: u32, epoch: u64 },
    /// A request was carried out. The first two numbers of the answer, if it has any.
    Done(Option<(u64, u64)>),
    /// A request was refused.
    Failed,
    /// A signal to every client.
    Signal,
}

impl Line {
    /// Connects and completes the handshake. Fails at once if the service does not admit it.
    pub async fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path).await?;
        let mut line = Self { stream, buffer: Vec::new() };
        line.write(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n").await?;
        // Two lines; a signal may follow directly.
        for _ in 0..2 {
            let end = loop {
                match line.buffer.iter().position(|byte| *byte == b'\n') {
                    Some(end) => break end,
                    None => line.fill().await?,
                }
            };
            line.buffer.drain(..=end);
        }
        Ok(line)
    }

    pub async fn register(&mut self, name: &str, flags: u32, level: i32) -> io::Result<()> {
        let path = ObjectPath::try_from("/agent").unwrap();
        self.ask("Register", &(path, name, flags, level, 0_u32)).await
    }

    pub async fn deregister(&mut self, party: u64) -> io::Result<()> {
        self.ask("Deregister", &party).await
    }

    /// Sends a request that is answered at once. The answer shows that everything sent before was processed.
    pub async fn ping(&mut self) -> io::Result<()> {
        self.ask("GetWaiting", &()).await
    }

    async fn ask<B>(&mut self, method: &str, body: &B) -> io::Result<()>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        let call = Message::method_call(wire::PARTITION_PATH, method).unwrap();
        let call = call.interface(wire::PARTITION).unwrap().build(body).unwrap();
        self.write(call.data()).await
    }

    /// Agrees to a notice.
    pub async fn agree(&mut self, serial: u32) -> io::Result<()> {
        self.write(&reply(serial)).await
    }

    /// Sends a part of an answer. Nothing else can be sent after it.
    pub async fn agree_halfway(&mut self, serial: u32) -> io::Result<()> {
        self.write(&reply(serial)[..REPLY / 2]).await
    }

    /// Refuses, without a reason.
    pub async fn refuse(&mut self, serial: u32) -> io::Result<()> {
        let name = b"com.example.Full";
        let mut error = Vec::from([b'l', 3, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        error.extend([5, 1, b'u', 0]);
        error.extend(serial.to_le_bytes());
        error.extend([4, 1, b's', 0]);
        error.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
        error.extend(name);
        error.push(0);
        let fields = u32::try_from(error.len() - 16).unwrap();
        error[12..16].copy_from_slice(&fields.to_le_bytes());
        error.resize(error.len().next_multiple_of(8), 0);
        self.write(&error).await
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.ready(Interest::WRITABLE).await?;
            match self.stream.try_write(bytes) {
                Ok(wrote) => bytes = &bytes[wrote..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next message, or `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<Said> {
        loop {
            if let Some((said, length)) = read(&self.buffer) {
                self.buffer.drain(..length);
                return Some(said);
            }
            self.fill().await.ok()?;
        }
    }

    /// The next message that is not a signal.
    pub async fn next_said(&mut self) -> Option<Said> {
        loop {
            match self.next().await? {
                Said::Signal => {}
                said => return Some(said),
            }
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        loop {
            self.stream.readable().await?;
            let mut chunk = [0; CHUNK];
            match self.stream.try_read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => {
                    self.buffer.extend(&chunk[..got]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn reply(serial: u32) -> [u8; REPLY] {
    let mut reply = [0; REPLY];
    reply[..4].copy_from_slice(&[b'l', 2, 1, 1]);
    reply[8] = 1;
    reply[12] = 8;
    reply[16..20].copy_from_slice(&[5, 1, b'u', 0]);
    reply[20..].copy_from_slice(&serial.to_le_bytes());
    reply
}

/// The first message in these bytes and its length, or `None` if it is incomplete.
fn read(bytes: &[u8]) -> Option<(Said, usize)> {
    let half = |at: usize| bytes.get(at..at + 4).map(|b| word(b.try_into().unwrap()));
    let (body_length, serial, fields) = (half(4)? as usize, half(8)?, half(12)? as usize);
    let body = 16 + fields.next_multiple_of(8);
    let whole = bytes.get(..body + body_length)?;
    let (header, body) = (&whole[16..16 + fields], &whole[body..]);
    let long = |at: usize| body.get(at..at + 8).map(|b| double(b.try_into().unwrap()));
    let said = match whole[1] {
        1 => {
            let named = |state: &State| {
                let member = format!("{}\0", state.name());
                header.windows(member.len()).any(|window| window == member.as_bytes())
            };
            let state = State::ALL.into_iter().find(named).expect("only notices are sent here");
            let id = word(body[16..20].try_into().unwrap());
            Said::Notice { serial, party: long(0)?, state, id, epoch: long(24)? }
        }
        2 => Said::Done(long(0).zip(long(8))),
        3 => Said::Failed,
        _ => Said::Signal,
    };
    Some((said, whole.len()))
}

/// Both ends are on this machine, so the byte order is native.
fn word(bytes: [u8; 4]) -> u32 {
    u32::from_ne_bytes(bytes)
}

fn double(bytes: [u8; 8]) -> u64 {
    u64::from_ne_bytes(bytes)
}
