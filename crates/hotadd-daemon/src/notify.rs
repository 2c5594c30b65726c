//! [`Notify`]: reports this process's state to the service manager that started it, by sd_notify(3): a datagram to
//! `$NOTIFY_SOCKET`.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The service manager's socket, if there is one.
#[derive(Debug)]
pub(crate) struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Reads the environment: `$NOTIFY_SOCKET`, and `$WATCHDOG_USEC` if `$WATCHDOG_PID` is this process or is not set.
    ///
    /// # Errors
    /// If `$NOTIFY_SOCKET` is neither a path nor an abstract name.
    pub(crate) fn from_env() -> io::Result<Self> {
        let to = match std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) {
            Some(name) => Some((UnixDatagram::unbound()?, address(&name)?)),
            None => None,
        };
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let ours = std::env::var_os("WATCHDOG_PID").is_none()
            || number("WATCHDOG_PID") == Some(u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0);
        Ok(Self { to, watchdog: watchdog.map(Duration::from_micros) })
    }

    /// The interval at which to send `WATCHDOG=1`: half of the service manager's time limit.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.to.as_ref().and(self.watchdog).map(|within| within / 2)
    }

    /// Reports that the configuration is being reloaded, until `READY=1` is sent.
    pub(crate) fn reloading(&self) -> io::Result<()> {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"))
    }

    /// Sends a state, such as `READY=1`. Several lines are sent in one datagram.
    ///
    /// # Errors
    /// If it could not be sent. Without a service manager nothing is sent, and that is not an error.
    pub(crate) fn say(&self, what: &str) -> io::Result<()> {
        let Some((socket, address)) = &self.to else { return Ok(()) };
        socket.send_to_addr(what.as_bytes(), address).map(drop)
    }
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => {
            let why = format!("NOTIFY_SOCKET={} is neither a path nor an @name", name.display());
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    }
}
