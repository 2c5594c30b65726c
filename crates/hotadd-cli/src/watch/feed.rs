//! [`Feed`]: a thread that asks the partitions what is new, and makes the user's requests. It never waits for the terminal.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotadd::{HardwareId, MAX_PROCESSORS, Topology};
use hotadd_wire::{
    self as wire, AnswerRow, BusAddress, MissingRow, PartyRow, WaitingRow, WireProcessor, WireSet,
};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use super::Message;
use super::model::{Action, Facts, Outcome, Place, Update};
use super::signals;
use crate::ask::client::Client;
use crate::ask::events::Position;
use crate::ask::failure::{Failure, Refusal};
use crate::ask::out::Out;
use crate::ask::patience::silent;

/// How often a partition is asked for news.
const EVERY: Duration = Duration::from_millis(200);

/// How often everything is read, if no event says that something has changed.
const WHOLE: Duration = Duration::from_secs(2);

/// After how long a partition counts as one that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before connecting again.
const AGAIN: Duration = Duration::from_secs(1);

/// The most processors of a list whose places are read.
const MOST: usize = MAX_PROCESSORS as usize;

/// The hardware whose processors are not those of a machine.
const SIMULATED: &str = "simulated";

/// The thread that talks to all partitions.
pub(super) struct Feed {
    thread: JoinHandle<io::Result<()>>,
    actions: UnboundedSender<(usize, Action)>,
}

impl Feed {
    /// Begins to watch the partitions of these names.
    pub(super) fn start(
        names: Vec<String>,
        bus: Option<BusAddress>,
        news: Sender<Message>,
    ) -> io::Result<Self> {
        let (actions, receiver) = unbounded_channel();
        let work = move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build()?;
            let watching = async {
                signals::report(&news)?;
                follow_all(names, bus, news, receiver).await;
                Ok(())
            };
            LocalSet::new().block_on(&runtime, watching)
        };
        let thread = std::thread::Builder::new().name("hotadd-feed".to_owned()).spawn(work)?;
        Ok(Self { thread, actions })
    }

    /// Makes a request. Its outcome comes as an update.
    pub(super) fn act(&self, nth: usize, action: Action) {
        // It fails only if the thread has ended, which `is_over` tells.
        let _ = self.actions.send((nth, action));
    }

    /// Whether the thread has ended, which it does only by a defect.
    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }
}

async fn follow_all(
    names: Vec<String>,
    bus: Option<BusAddress>,
    news: Sender<Message>,
    mut actions: UnboundedReceiver<(usize, Action)>,
) {
    let mut followers = Vec::new();
    for (nth, name) in names.into_iter().enumerate() {
        let follower = Rc::new(Follower {
            nth,
            name,
            bus: bus.clone(),
            news: news.clone(),
            client: Cell::new(None),
            hurry: Notify::new(),
            slow: Cell::new(false),
            real: Cell::new(false),
            places: RefCell::default(),
        });
        spawn_local(Rc::clone(&follower).run());
        followers.push(follower);
    }
    while let Some((nth, action)) = actions.recv().await {
        if let Some(follower) = followers.get(nth) {
            spawn_local(Rc::clone(follower).act(action));
        }
    }
}

/// Follows one partition.
struct Follower {
    nth: usize,
    name: String,
    bus: Option<BusAddress>,
    news: Sender<Message>,
    /// The connection, if there is one.
    client: Cell<Option<Rc<Client>>>,
    /// Something has changed: ask at once.
    hurry: Notify,
    /// Whether the slow questions are being asked.
    slow: Cell<bool>,
    /// Whether the processors are those of this machine.
    real: Cell<bool>,
    /// Where they are.
    places: RefCell<BTreeMap<u32, Place>>,
}

impl Follower {
    fn tell(&self, update: Update) {
        // The receiver is gone when the program ends.
        let _ = self.news.send(Message::Update(self.nth, update));
    }

    fn client(&self) -> Option<Rc<Client>> {
        let client = self.client.take();
        self.client.set(client.clone());
        client
    }

    /// Connects again and again.
    async fn run(self: Rc<Self>) {
        loop {
            let why = match self.connect().await {
                Ok(client) => {
                    self.client.set(Some(Rc::clone(&client)));
                    let Err(why) = Rc::clone(&self).follow(&client).await;
                    self.client.set(None);
                    why
                }
                Err(why) => why,
            };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
            self.tell(Update::Ended(now, why.to_string()));
            sleep(AGAIN).await;
        }
    }

    async fn connect(&self) -> Result<Rc<Client>, Failure> {
        let listens = OnceCell::new();
        // Warnings were printed before the view was opened.
        let connecting = Client::connect(self.bus.as_ref(), Some(&self.name), &listens, |_| ());
        match timeout(PATIENCE, connecting).await {
            Ok(client) => Ok(Rc::new(client?)),
            Err(_) => Err(Failure::Silent(silent(listens.get(), PATIENCE))),
        }
    }

    /// Asks for news until the connection ends.
    async fn follow(self: Rc<Self>, client: &Rc<Client>) -> Result<Never, Failure> {
        let hardware = self.patient(client, client.hardware()).await?;
        self.real.set(hardware != SIMULATED && is_this_machine(client).await);
        self.places.borrow_mut().clear();
        self.tell(Update::Connected { hardware });
        let (mut position, mut whole) = (Position::default(), None);
        let mut waited = false;
        loop {
            let waiting: Vec<WaitingRow> =
                self.patient(client, client.ask("GetWaiting", &())).await?;
            let answer = self.patient(client, client.ask("GetEvents", &(position.next(),))).await;
            let part = position.read(answer)?;
            let changed = !part.events.is_empty();
            if changed {
                self.tell(Update::Events(part.first, part.events));
            }
            let due = whole.is_none_or(|last: Instant| last.elapsed() >= WHOLE);
            if due || changed || waited || !waiting.is_empty() {
                let facts = self.facts(client).await?;
                self.tell(Update::Facts(Box::new(facts)));
            }
            if due || changed {
                whole = Some(Instant::now());
                if !self.slow.replace(true) {
                    spawn_local(Rc::clone(&self).ask_slowly(Rc::clone(client)));
                }
            }
            waited = !waiting.is_empty();
            self.tell(Update::Waiting(waiting));
            tokio::select! {
                () = sleep(EVERY) => {}
                () = self.hurry.notified() => {}
            }
        }
    }

    /// Waits for an answer for as long as the connection lasts, and reports if it takes too long.
    async fn patient<T>(&self, client: &Client, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        if let Ok(answer) = timeout(PATIENCE, &mut answer).await {
            return answer;
        }
        let process = client.process().await;
        self.tell(Update::Silent(silent(process.as_ref(), PATIENCE)));
        answer.await
    }

    async fn facts(&self, client: &Client) -> Result<Facts, Failure> {
        let set: WireSet = self.patient(client, client.ask("GetSet", &())).await?;
        let set = wire::read_set(set).map_err(|error| Failure::Broken(error.to_string()))?;
        let parties: Vec<PartyRow> = self.patient(client, client.ask("GetParties", &())).await?;
        let (mut out, mut next) = (Out::default(), Some(0));
        while let Some(first) = next {
            let some = self.patient(client, client.ask("GetAbsent", &(first,))).await?;
            next = out.take(first, some)?;
        }
        let known = set.known().map(|(processor, _)| processor.id.0);
        self.locate(known.chain(out.refused.keys().copied()));
        Ok(Facts { set, parties, out, places: self.places.borrow().clone() })
    }

    /// Finds out where these processors are, if they are this machine's.
    fn locate(&self, ids: impl Iterator<Item = u32>) {
        if !self.real.get() {
            return;
        }
        let mut places = self.places.borrow_mut();
        // The kernel describes a processor completely only while it is online. So it is read again until it is complete.
        for id in ids.take(MOST) {
            if places.get(&id).is_none_or(|place| place.core.is_none()) {
                places.insert(id, place(id));
            }
        }
    }

    /// Asks what may have to wait for a change in progress.
    async fn ask_slowly(self: Rc<Self>, client: Rc<Client>) {
        let candidates = client.ask::<Vec<u32>>("GetCandidates", &()).await;
        let missing = client.ask::<Vec<MissingRow>>("GetMissing", &()).await;
        self.slow.set(false);
        // A lost connection is reported by `follow`.
        if let (Ok(candidates), Ok(missing)) = (candidates, missing) {
            self.locate(candidates.iter().copied());
            let places = self.places.borrow().clone();
            self.tell(Update::Slow { candidates, missing, places });
        }
    }

    /// Makes a request, however long the parties take.
    async fn act(self: Rc<Self>, action: Action) {
        let outcome = match self.client() {
            Some(client) => request(&client, action).await,
            None => Err(Failure::Broken("the partition is not connected".to_owned())),
        };
        let outcome = outcome.unwrap_or_else(|failure| Outcome::Failed(failed(action, &failure)));
        self.tell(Update::Done(action, outcome));
        self.hurry.notify_one();
    }
}

/// `follow` returns only errors.
enum Never {}

async fn request(client: &Client, action: Action) -> Result<Outcome, Failure> {
    let (method, done) = match action {
        Action::Add(_) => ("Add", "joined"),
        Action::Remove(_) => ("Remove", "left"),
        Action::Rehearse(id) | Action::RehearseRemoval(id) => {
            let removal = matches!(action, Action::RehearseRemoval(_));
            let method = if removal { "RehearseRemoval" } else { "Rehearse" };
            let answer = client.ask(method, &(id,)).await?;
            let (_, answers): (WireProcessor, Vec<AnswerRow>) = answer;
            return Ok(Outcome::Answers(answers));
        }
    };
    let id = action.id();
    let (processor, epoch): (WireProcessor, u64) = client.ask(method, &(id,)).await?;
    let (index, group, number, _) = processor;
    Ok(Outcome::Done(format!(
        "processor {id} {done} (index {index}, {group}:{number}, epoch {epoch})"
    )))
}

/// Why a request failed: the cause, the party and the clause.
fn failed(action: Action, failure: &Failure) -> String {
    match failure {
        Failure::Refused(refusal) => match clause(action, refusal) {
            Some(clause) => format!("{} ({clause})", refusal.message),
            None => refusal.message.clone(),
        },
        other => format!("{}: {other}; the request may continue in the partition", action.verb()),
    }
}

/// The clause of the contract that an error of the partition stands for, unless its message names one.
fn clause(action: Action, refusal: &Refusal) -> Option<&'static str> {
    let clause = match (refusal.name.as_str(), action) {
        ("Vetoed", Action::Remove(_)) | ("NotRemovable", _) => "X1",
        ("Vetoed", _) => "A3",
        ("Platform", _) => "A4",
        ("Missing", _) => "L4",
        ("Touched", _) => "Q4",
        ("NotAddable", _) => "A8",
        ("InsideCallback", _) => "D3",
        _ => return None,
    };
    (!refusal.message.contains(clause)).then_some(clause)
}

/// Where a processor of this machine is.
fn place(id: u32) -> Place {
    let Topology { node, package, core, .. } = Topology::of_machine(HardwareId(id));
    Place { node, package, core }
}

/// Whether the partition is on this machine, as far as both know the machine's id. Its socket may be forwarded from another one, whose
/// processors are elsewhere.
async fn is_this_machine(client: &Client) -> bool {
    let own = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let own = own.trim();
    !own.is_empty() && client.machine().await.is_ok_and(|id| id == own)
}
