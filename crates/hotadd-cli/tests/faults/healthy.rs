//! [`Fixture`]: a simulated partition that is served, with its healthy parties and the faulty one.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hotadd::hardware::{Hardware, Simulated};
use hotadd::{Event, EventKind, Partition, Registration};
use hotadd_service::host::{Host, HostError, HostSpec};
use hotadd_service::{Named, Service};

use crate::case::LONG;
use crate::left::comes_true;
use crate::recorder::{Journal, Told};

/// A registered party: what decides when it is called, and whether its calls are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestParty {
    pub(crate) name: &'static str,
    pub(crate) level: i32,
    /// It is in another process or behind a connection. All such parties of a level are asked at the same time.
    pub(crate) at_once: bool,
    /// It records its calls.
    pub(crate) records: bool,
}

/// Whether the operator has named the healthy party that has its own process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Names,
    NamesNobody,
}

/// A partition with its parties. They are dropped in the order of the fields.
pub(crate) struct Fixture {
    hosts: Vec<Host>,
    registrations: Vec<Registration>,
    /// The partition as the agents see it. They are told of changes with every notice.
    there: Option<Partition>,
    /// The partition as a client sees it that has no party and gets only signals.
    afar: Option<Partition>,
    service: Arc<Service>,
    pub(crate) partition: Partition,
    pub(crate) hardware: Arc<Simulated>,
    pub(crate) journal: Journal,
    events: Arc<Mutex<Vec<Event>>>,
    /// The healthy parties, in the order of registration.
    pub(crate) parties: Vec<TestParty>,
}

impl Fixture {
    /// Processors 0 and 1 are active, three more are spare, and no party is registered.
    pub(crate) fn empty() -> Self {
        let hardware = Simulated::new(2, 3).unwrap();
        let partition = Partition::simulated(&hardware).unwrap();
        let service = Arc::new(Service::new(&partition, "faults", Arc::new(|_| ())).unwrap());
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let seen = Arc::clone(&events);
        let see = move |event: &Event| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        };
        partition.observe(see).unwrap().detach();
        Self {
            hosts: Vec::new(),
            registrations: Vec::new(),
            there: None,
            afar: None,
            service,
            partition,
            hardware,
            journal: Journal::default(),
            events,
            parties: Vec::new(),
        }
    }

    /// The same with healthy parties at three levels: in this process, behind a connection, and in a process
    /// of its own.
    pub(crate) fn new(operator: Operator) -> Self {
        let mut fixture = Self::empty();
        let named = (operator == Operator::Names).then(|| fixture.names("healthy"));
        fixture.there = Some(fixture.connect());
        fixture.afar = Some(fixture.connect());
        fixture.here("here0", 0);
        fixture.agent("there0", 0);
        fixture.here("here1", 1);
        let healthy = fixture.host(
            "healthy",
            "sample:isolated,name=healthy,level=1",
            LONG,
            0,
            named.as_ref(),
        );
        fixture.hosts.push(healthy.unwrap());
        fixture.parties.push(TestParty {
            name: "healthy",
            level: 1,
            at_once: true,
            records: false,
        });
        fixture.agent("there1", 1);
        fixture.here("here2", 2);
        fixture.agent("there2", 2);
        fixture
    }

    /// The operator names a party (L4). It is missing until its driver is registered.
    pub(crate) fn names(&self, name: &str) -> Named {
        Named::new(self.partition.require(name).unwrap())
    }

    fn connect(&self) -> Partition {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.service.attach(theirs, None).unwrap();
        let there = Partition::connect_over(ours).unwrap();
        // It retries once by itself, for example while an earlier service still has the name.
        drop(there.candidates());
        there
    }

    fn here(&mut self, name: &'static str, level: i32) {
        let party = self.partition.registration(name).level(level);
        self.registrations.push(party.register(self.journal.recorder(name)).unwrap());
        self.parties.push(TestParty { name, level, at_once: false, records: true });
    }

    /// Registers one more party behind the connection, if there is a connection.
    pub(crate) fn agent(&mut self, name: &'static str, level: i32) {
        let Some(there) = &self.there else { return };
        let party = there.registration(name).level(level).time_limit(LONG);
        self.registrations.push(party.register(self.journal.recorder(name)).unwrap());
        self.parties.push(TestParty { name, level, at_once: true, records: true });
    }

    /// Starts a process for a driver, as `hotadd run` does.
    pub(crate) fn host(
        &self,
        name: &str,
        driver: &str,
        limit: Duration,
        restarts: u32,
        required: Option<&Named>,
    ) -> Result<Host, HostError> {
        let level = driver.split(',').find_map(|option| option.strip_prefix("level="));
        let level = level.map_or(0, |level| level.parse().unwrap());
        let args = ["host", "--time-limit", &limit.as_millis().to_string(), driver];
        let spec = HostSpec {
            name: name.to_owned(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_hotadd")),
            args: args.map(Into::into).to_vec(),
            start: None,
            restarts,
            level,
            time_limit: limit,
            grace: Duration::from_secs(1),
            loads: false,
            on_output: None,
            required: required.cloned(),
        };
        Host::start(&self.partition, &self.service, spec)
    }

    /// The events since the last call.
    pub(crate) fn events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, up to and including an event of this kind about this party, which may still arrive.
    pub(crate) fn events_until(&self, kind: EventKind, name: &str) -> Vec<Event> {
        let mut events = Vec::new();
        let is_it = |event: &Event| {
            event.kind == kind && event.party.as_ref().is_some_and(|party| party.name == name)
        };
        let has_come = || {
            events.extend(self.events());
            events.iter().any(is_it)
        };
        comes_true(has_come, || format!("{name}: {kind:?} does not come"));
        events
    }

    /// The registered parties, in calling order.
    pub(crate) fn parties(&self) -> Vec<String> {
        let mut names = Vec::new();
        let list = |parties: &[hotadd::PartyInfo]| {
            names.extend(parties.iter().map(|party| party.name.clone()));
        };
        drop(self.partition.observe_with(list, |_| ()).unwrap());
        names
    }

    /// Checks that these processors are active for every observer.
    pub(crate) fn has_active(&self, expected: &[u32], when: &str) {
        let expected: BTreeSet<u32> = expected.iter().copied().collect();
        assert_eq!(active(&self.partition), expected, "{when}: the active set");
        let running = self.hardware.active().unwrap();
        let running: BTreeSet<u32> = running.iter().map(|id| id.0).collect();
        assert_eq!(running, expected, "{when}: what the platform runs");
        for (party, believed) in self.journal.active() {
            assert_eq!(believed, expected, "{when}: what {party} was told is active");
        }
        for replica in self.there.iter().chain(&self.afar) {
            // The signal about the change may still arrive.
            comes_true(
                || active(replica) == expected && replica.epoch() == self.partition.epoch(),
                || format!("{when}: a replica has {replica:?} and not {expected:?}"),
            );
        }
    }
}

fn active(partition: &Partition) -> BTreeSet<u32> {
    partition.active().iter().map(|processor| processor.id.0).collect()
}

/// The calls among events, in order.
pub(crate) fn told(events: &[Event]) -> Vec<Told> {
    let calls = events.iter().filter(|event| event.kind != EventKind::Calling);
    let told = calls.filter_map(|event| {
        Some(Told::new(&event.party.as_ref()?.name, event.state?, event.id?.0))
    });
    told.collect()
}
