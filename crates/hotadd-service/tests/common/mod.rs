//! An independent agent: a bare D-Bus client, and a service in a temporary folder to test it with.

#![allow(dead_code, reason = "not every test file uses all of it")]
#![expect(unreachable_pub, reason = "a module of tests")]

pub mod counts;
pub mod daemon;
pub mod endless;
pub mod line;

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use hotadd::hardware::Simulated;
use hotadd::{Event, Notice, Partition, State};
use hotadd_service::{Access, Log, MACHINE_BUS_NAME, Service};
use hotadd_wire::{self as wire, WireError, WireNotice};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zbus::fdo::DBusProxy;
use zbus::message::{self, Flags, Type};
use zbus::zvariant::{DynamicType, ObjectPath, Type as Signed};
use zbus::{Connection, Message, MessageStream, connection};

/// Longer than any step takes. Only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A service of a simulated partition, in its own folder.
pub struct Served {
    pub partition: Partition,
    pub hardware: Arc<Simulated>,
    service: Option<Service>,
    pub path: PathBuf,
    log: Receiver<String>,
    events: Receiver<Event>,
    _folder: TempDir,
}

impl Served {
    /// `active` processors run, `spare` can be added.
    pub fn new(active: u32, spare: u32) -> Self {
        Self::for_those(Access::own(), active, spare)
    }

    /// The same, with other access rules.
    pub fn for_those(access: Access, active: u32, spare: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hardware = Simulated::new(active, spare).unwrap();
        let partition = Partition::simulated(&hardware).unwrap();
        let (to_log, log) = channel();
        let log_to: Log = Arc::new(move |line: &str| drop(to_log.send(line.to_owned())));
        let service = Service::with_access(&partition, "demo", access, log_to).unwrap();
        // The service creates the folder with its own mode.
        let path = folder.path().join("run").join("demo");
        service.open(&path).unwrap();
        let (sender, events) = channel();
        // Registered after the service's observer: when this sees an event, the service has seen it.
        partition.observe(move |event| drop(sender.send(event.clone()))).unwrap().detach();
        let service = Some(service);
        Self { partition, hardware, service, path, log, events, _folder: folder }
    }

    pub fn service(&self) -> &Service {
        self.service.as_ref().expect("it was not ended")
    }

    /// Ends the service. The partition and the folder stay.
    pub fn end_service(mut self) -> Self {
        drop(self.service.take());
        self
    }

    /// A client that treats its connection as a bus.
    pub fn greeting_peer(&self) -> Peer {
        Peer::greeting(UnixStream::connect(&self.path).unwrap())
    }

    /// A client with this agent. zbus listens for calls before it connects. If the agent were added to an open connection, zbus would
    /// listen in a new task, and lose the calls that come before the task runs.
    pub fn serving_peer(
        &self,
        path: &'static str,
        agent: impl zbus::object_server::Interface,
    ) -> Peer {
        let stream = UnixStream::connect(&self.path).unwrap();
        Peer::greeting_as(stream, |builder| builder.serve_at(path, agent).unwrap())
    }

    pub fn peer(&self) -> Peer {
        Peer::connect(UnixStream::connect(&self.path).unwrap())
    }

    /// A raw connection after its handshake.
    pub fn bare(&self) -> UnixStream {
        use std::io::{Read, Write};
        let mut stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n").unwrap();
        let mut said = Vec::new();
        while said.iter().filter(|byte| **byte == b'\n').count() < 2 {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            said.push(byte[0]);
        }
        stream
    }

    /// Waits for an event.
    pub fn wait(&self, what: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("no such event came");
            if what(&event) {
                return event;
            }
        }
    }

    /// Drops the events received so far. Keeping them would look like a leak of the service.
    pub fn drop_events(&self) {
        self.events.try_iter().for_each(drop);
    }

    /// Waits for a line of the log that contains this text.
    pub fn logged(&self, what: &str) {
        while !self.log.recv_timeout(PATIENCE).expect("it was not logged").contains(what) {}
    }

    /// The next line of the log that contains this text.
    pub fn said(&self, what: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE).expect("it was not logged");
            if line.contains(what) {
                return line;
            }
        }
    }

    /// The lines of the log that were not read yet.
    pub fn log(&self) -> Vec<String> {
        self.log.try_iter().collect()
    }

    /// The partition, for another thread.
    pub fn adder(&self) -> Partition {
        self.partition.clone()
    }
}

/// A client, with everything that it receives.
pub struct Peer {
    pub runtime: Runtime,
    pub connection: Connection,
    calls: Receiver<Message>,
    answers: Receiver<Message>,
    signals: Receiver<Message>,
    /// The bus name of the partition, if the client is on a bus.
    partition: Option<&'static str>,
}

/// An error as received.
#[derive(Debug, PartialEq, Eq)]
pub struct WireFailure {
    pub name: String,
    pub body: Option<WireError>,
    pub message: String,
}

impl Peer {
    pub fn connect(stream: UnixStream) -> Self {
        Self::new(None, async move {
            stream.set_nonblocking(true).unwrap();
            let stream = tokio::net::UnixStream::from_std(stream).unwrap();
            connection::Builder::unix_stream(stream).p2p().build().await.unwrap()
        })
    }

    /// A client that treats its direct connection as a bus: its library calls Hello first.
    pub fn greeting(stream: UnixStream) -> Self {
        Self::greeting_as(stream, |builder| builder)
    }

    fn greeting_as(
        stream: UnixStream,
        how: impl FnOnce(connection::Builder<'static>) -> connection::Builder<'static>,
    ) -> Self {
        Self::new(Some("org.hotadd.Partition.demo"), async move {
            stream.set_nonblocking(true).unwrap();
            let stream = tokio::net::UnixStream::from_std(stream).unwrap();
            how(connection::Builder::unix_stream(stream)).build().await.unwrap()
        })
    }

    /// A client on a bus.
    pub fn on_bus(address: &str) -> Self {
        let builder = connection::Builder::address(address).unwrap();
        Self::new(Some("org.hotadd.Partition.demo"), async { builder.build().await.unwrap() })
    }

    /// A client on a bus that a certain user connects, for the partition of a machine. Needs root.
    pub fn on_bus_as(socket: &Path, user: User) -> Self {
        let stream = user.connect(socket);
        Self::new(Some(MACHINE_BUS_NAME), async move {
            let stream = tokio::net::UnixStream::from_std(stream).unwrap();
            let builder = connection::Builder::unix_stream(stream).user_id(user.uid);
            builder.build().await.unwrap()
        })
    }

    fn new(partition: Option<&'static str>, connecting: impl Future<Output = Connection>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let connection = runtime.block_on(connecting);
        let mut stream = MessageStream::from(&connection);
        let (to_calls, calls) = channel();
        let (to_answers, answers) = channel();
        let (to_signals, signals) = channel();
        runtime.spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let to = match message.message_type() {
                    Type::MethodCall => &to_calls,
                    Type::Signal => &to_signals,
                    _ => &to_answers,
                };
                drop(to.send(message));
            }
        });
        Self { runtime, connection, calls, answers, signals, partition }
    }

    pub fn send(&self, message: &Message) {
        self.runtime.block_on(self.connection.send(message)).unwrap();
    }

    /// Sends a call to the partition without waiting for the answer.
    pub fn begin<B: Serialize + DynamicType>(&self, method: &str, body: &B) {
        self.begin_at(wire::PARTITION_PATH, wire::PARTITION, method, body);
    }

    /// The same, with permission to ask for a password.
    pub fn begin_interactively<B: Serialize + DynamicType>(&self, method: &str, body: &B) {
        let call = self.call_of(wire::PARTITION_PATH, wire::PARTITION, method);
        self.send(&call.with_flags(Flags::AllowInteractiveAuth).unwrap().build(body).unwrap());
    }

    fn call_of<'a>(
        &self,
        path: &'a str,
        interface: &'a str,
        method: &'a str,
    ) -> message::Builder<'a> {
        let call = Message::method_call(path, method).unwrap().interface(interface).unwrap();
        match self.partition {
            Some(partition) => call.destination(partition).unwrap(),
            None => call,
        }
    }

    pub fn begin_at<B: Serialize + DynamicType>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) {
        self.send(&self.call_of(path, interface, method).build(body).unwrap());
    }

    /// The next answer to a call of this peer, unchanged.
    pub fn answer(&self) -> Message {
        self.answers.recv_timeout(PATIENCE).expect("no answer came")
    }

    /// The next answer to a call of this peer.
    pub fn end<T: DeserializeOwned + Signed>(&self) -> Result<T, WireFailure> {
        let answer = self.answer();
        let body = answer.body();
        if answer.message_type() == Type::MethodReturn {
            return Ok(body.deserialize_unchecked().expect("an answer of that type"));
        }
        let own = body.deserialize::<WireError>().ok();
        let message = own.as_ref().map(|own| own.0.clone());
        Err(WireFailure {
            name: answer.header().error_name().unwrap().to_string(),
            message: message.unwrap_or_else(|| body.deserialize::<String>().unwrap_or_default()),
            body: own,
        })
    }

    pub fn call<B: Serialize + DynamicType, T: DeserializeOwned + Signed>(
        &self,
        method: &str,
        body: &B,
    ) -> Result<T, WireFailure> {
        self.begin(method, body);
        self.end()
    }

    /// Registers an agent without waiting.
    pub fn begin_register(&self, name: &str, flags: u32, level: i32, limit: u32) {
        let path = ObjectPath::try_from(format!("/{name}")).unwrap();
        self.begin("Register", &(path, name, flags, level, limit));
    }

    /// Registers an agent that agrees to its replay.
    pub fn register(&self, name: &str, flags: u32, level: i32, limit: u32) -> u64 {
        self.begin_register(name, flags, level, limit);
        let answer = self.agree_until_answered();
        assert_eq!(answer.message_type(), Type::MethodReturn, "{answer}");
        answer.body().deserialize::<(u64, u64)>().unwrap().0
    }

    /// Agrees to every call until an answer comes. Returns whether it is a success.
    pub fn agrees_until_answered(&self) -> bool {
        self.agree_until_answered().message_type() == Type::MethodReturn
    }

    fn agree_until_answered(&self) -> Message {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Ok(call) = self.calls.recv_timeout(Duration::from_millis(1)) {
                self.agree(&call);
            } else if let Ok(answer) = self.answers.try_recv() {
                return answer;
            }
        }
        panic!("no answer came")
    }

    /// The next call of any kind.
    pub fn called(&self) -> Message {
        self.calls.recv_timeout(PATIENCE).expect("a call of an agent")
    }

    /// The next call of an agent of this peer.
    pub fn asked(&self) -> Asked {
        Asked::read(self.calls.recv_timeout(PATIENCE).expect("a call of an agent"))
    }

    /// The next call, which must report a deregistration: party, status, reason.
    pub fn farewell(&self) -> (u64, u32, String) {
        let call = self.calls.recv_timeout(PATIENCE).expect("a call of an agent");
        assert_eq!(call.header().member().unwrap().as_str(), wire::DEREGISTERED);
        assert!(call.primary_header().flags().contains(Flags::NoReplyExpected));
        call.body().deserialize().unwrap()
    }

    /// The next call, which must be this one. Agrees to it.
    pub fn agrees_to(&self, state: State, party: u64) {
        let asked = self.asked();
        assert_eq!((asked.notice.state(), asked.party), (state, party));
        self.agree(&asked.call);
    }

    /// Checks that no call is waiting. Only meaningful after a message that would follow the call.
    pub fn was_not_asked(&self) {
        if let Ok(call) = self.calls.try_recv() {
            panic!("{call} came");
        }
    }

    pub fn agree(&self, call: &Message) {
        self.send(&Message::method_return(&call.header()).unwrap().build(&()).unwrap());
    }

    pub fn refuse(&self, call: &Message, name: &str, reason: &str) {
        self.send(&Message::error(&call.header(), name).unwrap().build(&reason).unwrap());
    }

    /// The next signal with this name.
    pub fn signal(&self, name: &str) -> Message {
        loop {
            let signal = self.signals.recv_timeout(PATIENCE).expect("no such signal came");
            if signal.header().member().unwrap().as_str() == name {
                return signal;
            }
        }
    }

    /// Whether any peer on the bus has this name. The answers also come to this peer, so it must not be asked
    /// anything else afterwards.
    pub fn has_owner(&self, name: &str) -> bool {
        let name = name.try_into().unwrap();
        self.runtime.block_on(async {
            let dbus = DBusProxy::new(&self.connection).await.unwrap();
            dbus.name_has_owner(name).await.unwrap()
        })
    }

    /// Waits until everything sent before was processed.
    pub fn ping(&self) {
        self.begin_at("/", "org.freedesktop.DBus.Peer", "Ping", &());
        self.end::<()>().unwrap();
    }

    /// Closes the connection.
    pub fn hang_up(self) {
        let Self { runtime, connection, .. } = self;
        runtime.block_on(connection.close()).unwrap();
        drop(runtime);
    }

    /// Waits until the service has closed the connection.
    pub fn was_hung_up_on(&self) {
        match self.calls.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => panic!("the connection is still open"),
            Ok(call) => panic!("{call} came"),
        }
    }
}

/// Another user.
#[derive(Clone, Copy, Debug)]
pub struct User {
    pub uid: u32,
    /// Its only group.
    pub gid: u32,
}

impl User {
    /// Connects as this user. The kernel records the user of the connecting thread, and each thread can have its own.
    fn connect(self, socket: &Path) -> UnixStream {
        let socket = socket.to_owned();
        let connect = move || {
            let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
            set_thread_groups(&[]).unwrap();
            set_thread_res_gid(gid, gid, gid).unwrap();
            set_thread_res_uid(uid, uid, uid).unwrap();
            let stream = UnixStream::connect(socket).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        };
        std::thread::spawn(connect).join().unwrap()
    }
}

/// A call of an agent.
#[derive(Debug)]
pub struct Asked {
    pub call: Message,
    pub path: String,
    pub party: u64,
    pub notice: Notice,
}

impl Asked {
    fn read(call: Message) -> Self {
        let header = call.header();
        assert_eq!(header.interface().unwrap().as_str(), wire::AGENT);
        let member = header.member().unwrap().to_string();
        let state = State::ALL.into_iter().find(|state| state.name() == member).unwrap();
        let path = header.path().unwrap().to_string();
        let body = call.body().deserialize::<WireNotice>().unwrap();
        let (party, notice) = wire::read_notice(state, body).unwrap();
        drop(header);
        Self { call, path, party, notice }
    }
}

/// The names of the events of GetHistory.
pub fn history(peer: &Peer) -> Vec<String> {
    let lines: Vec<String> = peer.call("GetHistory", &1000_u32).unwrap();
    let name = |line: &String| {
        let event: HashMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        assert!(event["time"].is_u64());
        event["event"].as_str().unwrap().to_owned()
    };
    lines.iter().map(name).collect()
}
