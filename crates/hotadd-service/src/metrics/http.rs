//! Serves metrics over HTTP/1.1, to programs that scrape. It answers GET and HEAD of /metrics, one request a connection. A request has
//! limits in size, time and number. It is hostile, and the worst that it can do is to keep others waiting for a few seconds.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::address::MetricsAddress;
use super::text::Format;
use crate::object::core::Core;

/// The largest request, how long it may take to come and its answer to go, and how many there are at a time.
const MOST_BYTES: usize = 8 * 1024;
const TIME_LIMIT: Duration = Duration::from_secs(5);
const MOST_CONNECTIONS: usize = 8;

/// How many header lines a request has at most.
const MOST_HEADERS: usize = 64;

/// Listens, and removes its socket when it is dropped.
pub(crate) enum Listener {
    Unix(UnixListener, Socket),
    Tcp(TcpListener),
}

/// The path of a socket that is removed at the end.
pub(crate) struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens. A socket is open to every user if `public`, and otherwise to this user only. Must be called on the runtime.
    pub(crate) fn at(address: &MetricsAddress, public: bool) -> io::Result<Self> {
        match address {
            MetricsAddress::Unix(path) => {
                remove_stale(path)?;
                let socket = UnixListener::bind(path)?;
                let removed = Socket(path.clone());
                let mode = if public { 0o666 } else { 0o600 };
                fs::set_permissions(path, Permissions::from_mode(mode))?;
                Ok(Self::Unix(socket, removed))
            }
            MetricsAddress::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(TcpListener::from_std(listener)?))
            }
        }
    }

    /// Where it listens: the port, if any was asked for.
    pub(crate) fn place(&self) -> io::Result<String> {
        Ok(match self {
            Self::Unix(_, Socket(path)) => format!("unix:{}", path.display()),
            Self::Tcp(listener) => listener.local_addr()?.to_string(),
        })
    }

    /// Serves until the core is gone.
    pub(crate) async fn serve(self, core: Weak<Core>) {
        let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let accepted = match &self {
                Self::Unix(listener, _) => {
                    listener.accept().await.map(|(stream, _)| begin(stream, &core, permit))
                }
                Self::Tcp(listener) => {
                    listener.accept().await.map(|(stream, _)| begin(stream, &core, permit))
                }
            };
            if accepted.is_err() {
                // No descriptor is left, say. It is tried again.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            if core.strong_count() == 0 {
                return;
            }
        }
    }
}

/// Removes a socket at which no process listens any more. Anything else stays, and cannot be listened at.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
    }
}

fn begin(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    core: &Weak<Core>,
    permit: OwnedSemaphorePermit,
) {
    let core = Weak::clone(core);
    tokio::spawn(async move {
        let _permit = permit;
        // A client that is too slow gets no answer.
        let _ = timeout(TIME_LIMIT, answer(stream, &core)).await;
    });
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    core: &Weak<Core>,
) -> io::Result<()> {
    let mut request = Vec::new();
    let reply = loop {
        match Request::read(&request) {
            Ok(Some(wanted)) => {
                let Some(core) = core.upgrade() else { return Ok(()) };
                break wanted.reply(|format| core.metrics(format));
            }
            Ok(None) if request.len() < MOST_BYTES => {
                let mut more = [0; 1024];
                match stream.read(&mut more).await? {
                    0 => return Ok(()),
                    count => request.extend_from_slice(&more[..count]),
                }
            }
            Ok(None) => break reply("431 Request Header Fields Too Large", "", "", false),
            Err(status) => break reply(status, "", "", false),
        }
    };
    stream.write_all(reply.as_bytes()).await?;
    stream.shutdown().await
}

/// What a request wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    format: Format,
    head: bool,
}

impl Request {
    /// Reads a request; `None` if it is not complete. The error is the status to reply with.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Err(_) => return Err("400 Bad Request"),
            Ok(httparse::Status::Partial) => return Ok(None),
            Ok(httparse::Status::Complete(_)) => {}
        }
        let path = request.path.unwrap_or_default();
        if path.split('?').next() != Some("/metrics") {
            return Err("404 Not Found");
        }
        let head = match request.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Err("405 Method Not Allowed"),
        };
        let accepts = |header: &httparse::Header<'_>| {
            header.name.eq_ignore_ascii_case("accept")
                && header.value.windows(28).any(|part| part == b"application/openmetrics-text")
        };
        let open = request.headers.iter().any(accepts);
        let format = if open { Format::OpenMetrics } else { Format::Prometheus };
        Ok(Some(Self { format, head }))
    }

    fn reply(&self, metrics: impl FnOnce(Format) -> String) -> String {
        reply("200 OK", self.format.content_type(), &metrics(self.format), self.head)
    }
}

fn reply(status: &str, content_type: &str, body: &str, head: bool) -> String {
    let of_error = format!("{status}\n");
    let (content_type, body) =
        if content_type.is_empty() { ("text/plain", &*of_error) } else { (content_type, body) };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let shown = if head { "" } else { body };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n{shown}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_get_of_the_metrics_is_answered() {
        let read = |text: &str| Request::read(text.as_bytes());
        let wants = |format, head| Ok(Some(Request { format, head }));
        assert_eq!(
            read("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
            wants(Format::Prometheus, false)
        );
        assert_eq!(read("GET /metrics?x=1 HTTP/1.0\r\n\r\n"), wants(Format::Prometheus, false));
        let accepts = "HEAD /metrics HTTP/1.1\r\naccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n";
        assert_eq!(read(accepts), wants(Format::OpenMetrics, true));
        assert_eq!(read("GET /metrics HTTP/1.1\r\nHost"), Ok(None));
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("POST /metrics HTTP/1.1\r\n\r\n"), Err("405 Method Not Allowed"));
        assert_eq!(read("GET /../metrics HTTP/1.1\r\n\r\n"), Err("404 Not Found"));
        assert_eq!(read("GET / HTTP/1.1\r\n\r\n"), Err("404 Not Found"));
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_HEADERS + 1));
        for bad in ["\0\r\n\r\n", "GET\r\n\r\n", "GET /metrics HTTP/1.1\r\n: x\r\n\r\n", &many] {
            assert_eq!(read(bad), Err("400 Bad Request"), "{bad:?}");
        }
    }

    #[test]
    fn a_reply_to_head_has_the_length_and_no_body() {
        let text = reply("200 OK", "text/plain", "abc", true);
        assert!(text.contains("Content-Length: 3\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        assert!(reply("404 Not Found", "", "", false).ends_with("\r\n\r\n404 Not Found\n"));
    }
}
