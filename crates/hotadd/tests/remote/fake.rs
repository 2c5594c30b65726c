//! A partition at the other end of a socket that decides nothing: tests choose what it sends and see what it
//! receives.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use hotadd::{
    ActiveSet, Driver, Epoch, HardwareId, Notice, Processor, ProcessorIndex, Standing, State,
    Status, Veto,
};
use hotadd_page::PageWriter;
use hotadd_wire::{self as wire, WireError};
use tokio::runtime::{Builder, Runtime};
use zbus::export::futures_core::Stream;
use zbus::export::serde::Serialize;
use zbus::message::Type;
use zbus::zvariant::{DynamicType, Fd, Value};
use zbus::{Connection, Guid, Message, MessageStream, connection};

/// The time after which the whole test process is aborted.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const FIRST: &str = "/org/hotadd/Agent/1";
pub(crate) const SECOND: &str = "/org/hotadd/Agent/2";

pub(crate) fn at(index: u32) -> Processor {
    Processor { index: ProcessorIndex::new(index).unwrap(), id: HardwareId(index) }
}

/// A set at this epoch in which processors 0 to `active` - 1 are active, and maybe the next is being added.
pub(crate) fn set(epoch: u64, active: u32, adding: bool) -> ActiveSet {
    let known = (0..active).map(|id| (HardwareId(id), Standing::Active));
    ActiveSet::assemble(Epoch(epoch), 8, known, adding.then(|| at(active))).unwrap()
}

/// The address of a partition. It is removed at the end.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hotadd-remote-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path.join("socket"))
    }

    pub(crate) fn listen(&self) -> UnixListener {
        let _ = std::fs::remove_file(&self.0);
        UnixListener::bind(&self.0).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// A driver's answer: agreed, or the error's name and text.
pub(crate) type Answer = Result<(), (String, String)>;

pub(crate) struct Fake {
    /// It is in the page before each message.
    pub(crate) set: ActiveSet,
    page: RefCell<PageWriter>,
    runtime: Runtime,
    connection: Connection,
    stream: MessageStream,
    requests: VecDeque<Message>,
    /// The same socket, for raw bytes.
    bare: UnixStream,
}

impl Fake {
    /// Hands out its page, answers GetCandidates, and gives no board.
    pub(crate) fn over(socket: UnixStream, set: ActiveSet) -> Self {
        let mut fake = Self::silent(socket, set);
        let hardware = fake.request("Get");
        fake.reply(&hardware, &Value::from("fake"));
        fake
    }

    /// Sends nothing after the handshake.
    pub(crate) fn silent(socket: UnixStream, set: ActiveSet) -> Self {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build().unwrap();
        let bare = socket.try_clone().unwrap();
        socket.set_nonblocking(true).unwrap();
        let (connection, stream) = runtime.block_on(async {
            let socket = tokio::net::UnixStream::from_std(socket).unwrap();
            let builder =
                connection::Builder::unix_stream(socket).server(Guid::generate()).unwrap();
            let connection = builder.p2p().build().await.unwrap();
            let stream = MessageStream::from(&connection);
            (connection, stream)
        });
        let page = PageWriter::sealed(&set).unwrap().into();
        Self { set, page, runtime, connection, stream, requests: VecDeque::new(), bare }
    }

    pub(crate) fn accept(listener: &UnixListener, set: ActiveSet) -> Self {
        Self::over(listener.accept().unwrap().0, set)
    }

    /// Writes its set to the page.
    pub(crate) fn show(&self) {
        self.page.borrow_mut().publish(&self.set);
    }

    pub(crate) fn send(&self, message: &Message) {
        self.show();
        self.runtime.block_on(self.connection.send(message)).unwrap();
    }

    /// Sends raw bytes, few enough to fit into the socket's buffer.
    pub(crate) fn send_bare(&mut self, bytes: &[u8]) {
        self.show();
        self.bare.write_all(bytes).unwrap();
    }

    pub(crate) fn reply<B: Serialize + DynamicType>(&self, request: &Message, body: &B) {
        self.send(&Message::method_return(&request.header()).unwrap().build(body).unwrap());
    }

    pub(crate) fn refuse(&self, request: &Message, name: &str, error: &WireError) {
        let name = format!("{}{name}", wire::ERROR);
        self.send(&Message::error(&request.header(), name).unwrap().build(error).unwrap());
    }

    pub(crate) fn signal<B: Serialize + DynamicType>(&self, name: &'static str, body: &B) {
        let signal = Message::signal(wire::PARTITION_PATH, wire::PARTITION, name).unwrap();
        self.send(&signal.build(body).unwrap());
    }

    /// Waits for GetCandidates and answers it.
    pub(crate) fn give_candidates(&mut self) {
        let message = self.receive().expect("the connection is gone");
        assert_eq!(self.gave(&message).as_deref(), Some("GetCandidates"), "{message}");
    }

    /// The request, if it was answered.
    fn gave(&self, message: &Message) -> Option<String> {
        let member = message.header().member()?.to_string();
        let answer = Message::method_return(&message.header()).unwrap();
        let answer = match &*member {
            "GetPage" => {
                let descriptor = self.page.borrow().descriptor().unwrap();
                answer.build(&Fd::from(descriptor))
            }
            "GetCandidates" => answer.build(&vec![0_u32, 6]),
            "OpenBoard" => {
                let error = "org.freedesktop.DBus.Error.UnknownMethod";
                Message::error(&message.header(), error).unwrap().build(&"there is none")
            }
            _ => return None,
        };
        // The client may be gone.
        let _ = self.runtime.block_on(self.connection.send(&answer.unwrap()));
        Some(member)
    }

    fn receive(&mut self) -> Option<Message> {
        let stream = &mut self.stream;
        let next = poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx));
        self.runtime.block_on(next)?.ok()
    }

    /// The next message that is not answered here; `None` once the connection is gone.
    fn next(&mut self) -> Option<Message> {
        loop {
            let message = self.receive()?;
            if self.gave(&message).is_none() {
                return Some(message);
            }
        }
    }

    /// Waits for a request, which must be this one.
    pub(crate) fn request(&mut self, member: &str) -> Message {
        let queued = self.requests.pop_front();
        let message = queued.or_else(|| self.next()).expect("the connection is gone");
        assert_eq!(message.header().member().map_or("", |m| m.as_str()), member);
        message
    }

    /// Serves requests for the page until the other side closes.
    pub(crate) fn until_closed(&mut self) {
        assert!(self.requests.is_empty());
        if let Some(message) = self.next() {
            panic!("the connection was not closed: {message}");
        }
    }

    /// Reads without answering until the other side closes.
    pub(crate) fn drain(&mut self) {
        while self.receive().is_some() {}
    }

    /// Calls an agent.
    pub(crate) fn call<B: Serialize + DynamicType>(
        &mut self,
        path: &str,
        member: &str,
        body: &B,
    ) -> Message {
        let call = Message::method_call(path, member).unwrap().interface(wire::AGENT).unwrap();
        let call = call.build(body).unwrap();
        self.send(&call);
        call
    }

    /// The agent's answer to a call. Requests that arrive meanwhile are kept.
    pub(crate) fn answer(&mut self, call: &Message) -> Answer {
        loop {
            let message = self.next().expect("the connection is gone");
            let header = message.header();
            if header.reply_serial() != Some(call.primary_header().serial_num()) {
                self.requests.push_back(message);
                continue;
            }
            return match message.message_type() {
                Type::MethodReturn => Ok(()),
                _ => {
                    let name = header.error_name().unwrap().to_string();
                    Err((name, message.body().deserialize().unwrap()))
                }
            };
        }
    }

    /// Sends a notice at the epoch of its set.
    pub(crate) fn notice(&mut self, path: &str, party: u64, notice: &Notice) -> Message {
        let notice = notice.at_epoch(self.set.epoch());
        let body = wire::notice(party, &notice);
        self.call(path, notice.state().name(), &body)
    }

    pub(crate) fn tell(&mut self, path: &str, party: u64, state: State, which: u32) -> Answer {
        let call = self.notice(path, party, &Notice::new(state, at(which)));
        self.answer(&call)
    }

    /// Lets an agent register: the replay, then the reply. Returns the flags.
    pub(crate) fn admit(&mut self, path: &str, party: u64) -> u32 {
        let request = self.request("Register");
        let body = request.body();
        let (agent, ..): (zbus::zvariant::ObjectPath<'_>, String, u32, i32, u32) =
            body.deserialize().unwrap();
        assert_eq!(agent.as_str(), path);
        for state in [State::AddStart, State::AddComplete] {
            for which in 0..self.set.count() {
                assert_eq!(self.tell(path, party, state, which), Ok(()));
            }
        }
        self.reply(&request, &(party, self.set.epoch().0));
        flags(&request)
    }
}

/// Those of Register.
pub(crate) fn flags(request: &Message) -> u32 {
    let body = request.body();
    let (_, _, flags, ..): (zbus::zvariant::ObjectPath<'_>, String, u32, i32, u32) =
        body.deserialize().unwrap();
    flags
}

/// The calls of drivers, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// Returns and forgets the calls so far.
    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap()).join(", ")
    }

    /// A driver that agrees to everything.
    pub(crate) fn driver(&self, name: &'static str) -> impl Driver + Send + use<> {
        let log = self.clone();
        move |notice: &Notice| -> Result<(), Veto> {
            let mut line = format!("{name} {} {}", notice.state(), notice.processor().id);
            if notice.status() == Status::CONNECTION_RESET {
                line += " reset";
            }
            log.write(line);
            Ok(())
        }
    }
}

/// Runs the partition's side and this side at the same time.
pub(crate) fn both<A: Send, B>(
    there: impl FnOnce() -> A + Send,
    here: impl FnOnce() -> B,
) -> (A, B) {
    // If one side fails an assertion, the other would wait for a message that never comes.
    let (over, ended) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if ended.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("one side has waited for {DEADLINE:?}; see the failure above");
            std::process::abort();
        }
    });
    let ends = std::thread::scope(|scope| {
        let there = scope.spawn(there);
        let here = here();
        (there.join().unwrap(), here)
    });
    drop(over);
    ends
}

/// A connected pair: the partition's side, and this side.
pub(crate) fn pair(active: u32) -> (Fake, hotadd::Partition) {
    let (theirs, ours) = UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        let fake = scope.spawn(|| Fake::over(theirs, set(1, active, false)));
        let partition = hotadd::Partition::connect_over(ours).unwrap();
        (fake.join().unwrap(), partition)
    })
}
