//! [`MetricsAddress`]: where metrics are served.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where metrics are served: a Unix socket or a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsAddress {
    /// A socket in the file system.
    Unix(PathBuf),
    /// An address of this machine, and a port.
    Tcp(SocketAddr),
}

impl FromStr for MetricsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') && path.len() < 108 => {
                Ok(Self::Unix(PathBuf::from(path)))
            }
            Some(_) => Err("a path after unix: begins with / and has at most 107 bytes".to_owned()),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                "write it like unix:/run/hotadd/metrics.sock or 127.0.0.1:9464".to_owned()
            }),
        }
    }
}

impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_socket_or_a_port() {
        for text in ["unix:/run/hotadd/metrics.sock", "127.0.0.1:9464", "[::1]:9464"] {
            assert_eq!(text.parse::<MetricsAddress>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "unix:",
            "unix:metrics.sock",
            "localhost:9464",
            "9464",
            "127.0.0.1",
            "127.0.0.1:70000",
        ] {
            text.parse::<MetricsAddress>().unwrap_err();
        }
    }
}
