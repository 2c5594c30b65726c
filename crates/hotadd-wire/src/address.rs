//! [`BusAddress`]: which message bus, and the socket of its daemon.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::str::FromStr;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use zbus::Address;
use zbus::address::transport::{Transport, UnixSocket};

/// Which message bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusAddress {
    /// That of the user's session: `$DBUS_SESSION_BUS_ADDRESS`, or the one in `$XDG_RUNTIME_DIR`.
    Session,
    /// That of the machine.
    System,
    /// The one whose daemon listens here: `unix:path=/run/user/1000/bus`.
    At(At),
}

/// The address of a bus's daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At(Address);

/// There is no such address.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AddressError(#[from] zbus::Error);

impl FromStr for BusAddress {
    type Err = AddressError;

    /// `session`, `system` or an address.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text {
            "session" => Ok(Self::Session),
            "system" => Ok(Self::System),
            address => Ok(Self::At(At(address.parse()?))),
        }
    }
}

impl fmt::Display for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str("the session bus"),
            Self::System => f.write_str("the system bus"),
            Self::At(At(address)) => write!(f, "the bus at {address}"),
        }
    }
}

impl BusAddress {
    /// Where its daemon listens.
    ///
    /// # Errors
    /// If the environment names a place that is none.
    fn resolve(&self) -> Result<Address, AddressError> {
        Ok(match self {
            Self::Session => Address::session()?,
            Self::System => Address::system()?,
            Self::At(At(address)) => address.clone(),
        })
    }

    /// A socket that is connected to its daemon, and does not block; the handshake is still to come. Never waits: a daemon
    /// that takes nobody in at this moment is an error.
    ///
    /// # Errors
    /// If nobody listens there, or it is no Unix socket.
    pub fn connect(&self) -> io::Result<UnixStream> {
        let unusable = |what: String| io::Error::new(io::ErrorKind::Unsupported, what);
        let address = self.resolve().map_err(|error| unusable(error.to_string()))?;
        let socket = match address.transport() {
            Transport::Unix(unix) => match unix.path() {
                UnixSocket::File(path) => SocketAddrUnix::new(path.as_os_str())?,
                UnixSocket::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
                _ => return Err(unusable(format!("{address} is an address to listen at"))),
            },
            _ => return Err(unusable(format!("{address} is no Unix socket"))),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&stream, &socket)?;
        Ok(stream.into())
    }
}
