//! [`BusAddress`]: which message bus, and the socket of its daemon.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::str::FromStr;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use zbus::Address;
use zbus::address::transport::{Transport, UnixSocket};

/// A message bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusAddress {
    /// The bus of the user's session: `$DBUS_SESSION_BUS_ADDRESS`, or the bus in `$XDG_RUNTIME_DIR`.
    Session,
    /// The bus of the machine.
    System,
    /// The bus whose daemon listens at this address: `unix:path=/run/user/1000/bus`.
    At(At),
}

/// The address of a bus's daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At(Address);

/// The address is invalid.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AddressError(#[from] zbus::Error);

impl FromStr for BusAddress {
    type Err = AddressError;

    /// Parses `session`, `system` or an address.
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
    /// The address at which the daemon listens.
    ///
    /// # Errors
    /// If the environment contains an invalid address.
    fn resolve(&self) -> Result<Address, AddressError> {
        Ok(match self {
            Self::Session => Address::session()?,
            Self::System => Address::system()?,
            Self::At(At(address)) => address.clone(),
        })
    }

    /// A non-blocking socket that is connected to the daemon, before the handshake. This never blocks: a daemon that
    /// accepts no connection at this moment is an error.
    ///
    /// # Errors
    /// If nothing listens there, or if it is not a Unix socket.
    pub fn connect(&self) -> io::Result<UnixStream> {
        let unusable = |what: String| io::Error::new(io::ErrorKind::Unsupported, what);
        let address = self.resolve().map_err(|error| unusable(error.to_string()))?;
        let socket = match address.transport() {
            Transport::Unix(unix) => match unix.path() {
                UnixSocket::File(path) => SocketAddrUnix::new(path.as_os_str())?,
                UnixSocket::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
                _ => {
                    return Err(unusable(format!(
                        "{address} is an address for listening, not for \
                 connecting"
                    )));
                }
            },
            _ => return Err(unusable(format!("{address} is not the address of a Unix socket"))),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&stream, &socket)?;
        Ok(stream.into())
    }
}
