//! A false partition, which answers as a test tells it to, or not at all.

use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use hotadd_wire::WireError;
use tempfile::TempDir;
use zbus::{Connection, Guid, Message, MessageStream, connection};

/// Its answer to a call with this name.
pub type Answers = dyn Fn(&str, &Message) -> Option<Message> + Send + Sync;

/// A partition called demo. The path is for `XDG_RUNTIME_DIR`.
pub struct Fake(TempDir);

impl Fake {
    pub fn new(
        answers: impl Fn(&str, &Message) -> Option<Message> + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("hotadd");
        std::fs::DirBuilder::new().mode(0o700).create(&place).unwrap();
        let listener = UnixListener::bind(place.join("demo")).unwrap();
        serve(listener, Arc::new(answers));
        Self(folder)
    }

    pub fn runtime_dir(&self) -> &Path {
        self.0.path()
    }
}

/// A reply, without arguments or with these.
pub fn reply(
    call: &Message,
    body: &(impl serde::Serialize + zbus::zvariant::DynamicType),
) -> Option<Message> {
    Some(Message::method_return(&call.header()).unwrap().build(body).unwrap())
}

/// An error of `org.hotadd.Partition1`.
pub fn refusal(call: &Message, name: &str, body: &WireError) -> Option<Message> {
    Some(Message::error(&call.header(), name).unwrap().build(body).unwrap())
}

/// Serves every connection until this process ends.
fn serve(listener: UnixListener, answers: Arc<Answers>) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answers) = (stream.unwrap(), Arc::clone(&answers));
            thread::spawn(move || converse(stream, &*answers));
        }
    });
}

fn converse(stream: UnixStream, answers: &Answers) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        stream.set_nonblocking(true).unwrap();
        let stream = tokio::net::UnixStream::from_std(stream).unwrap();
        let builder = connection::Builder::unix_stream(stream);
        let connection: zbus::Result<Connection> =
            builder.server(Guid::generate()).unwrap().p2p().build().await;
        // The client only probed for a listener.
        let Ok(connection) = connection else { return };
        let mut messages = MessageStream::from(&connection);
        while let Some(Ok(message)) = next(&mut messages).await {
            let name = message.header().member().map(ToString::to_string).unwrap_or_default();
            if let Some(answer) = answers(&name, &message) {
                connection.send(&answer).await.unwrap();
            }
        }
    });
}

async fn next(messages: &mut MessageStream) -> Option<zbus::Result<Message>> {
    use std::pin::Pin;
    use zbus::export::futures_core::Stream;
    std::future::poll_fn(|context| Pin::new(&mut *messages).poll_next(context)).await
}
