//! [`Machine`]: a guest with the daemon and three agents, the actions on them, and the expected state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use fastrand::Rng;
use lab::{Guest, Kernel};
use serde_json::Value;

use crate::common::cpu;
use crate::common::daemon::{self, LIMIT, SAID, SOCKET, online, until, with_daemon};

const KILL: i32 = 9;
const AGENTS: [&str; 3] = ["one", "two", "three"];

/// The number of processors that can be present at once. The more there are, the longer Linux takes to start one.
const MOST: u32 = 20;

/// The number of processors that QEMU can create, including those that it removes again.
const SLOTS: u32 = 80;

/// The limit of the daemon's own data, in KiB. A program for tests is larger than a released one, so its own size says nothing.
const MOST_KIB: u64 = 5_000;

/// The processors present at boot, all but the first offline. Only these can be made to fail.
const AT_BOOT: u32 = 3;

/// What one agent does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Agree,
    Refuse,
    Crash,
    Hang,
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::Refuse => "refuse",
            Self::Crash => "crash",
            Self::Hang => "hang",
        }
    }
}

pub(crate) struct Machine {
    guest: Guest,
    rng: Rng,
    daemon: u32,
    agents: BTreeMap<&'static str, u32>,
    /// All of the first of these processors are plugged in, except those that were unplugged.
    plugged: u32,
    pulled: BTreeSet<u32>,
    /// The number of processors that QEMU has created.
    made: u32,
    /// Processors that were onlined by others while the daemon ran.
    unagreed: BTreeSet<u32>,
    /// The number of descriptors of the daemon at the start.
    descriptors: usize,
    failing: String,
}

impl Machine {
    pub(crate) fn boot(kernel: Kernel, seed: u64) -> Self {
        let lab = with_daemon(kernel).cpus(AT_BOOT, SLOTS).kernel_line("maxcpus=1");
        let guest = lab.boot().unwrap();
        let states = guest.read(&cpu("hotplug/states")).unwrap();
        let state = states.lines().find(|line| line.ends_with("sched:active")).unwrap();
        let failing = state.split(':').next().unwrap().trim().to_owned();
        let daemon = daemon::start(&guest, CONFIGURATION);
        let mut machine = Self {
            guest,
            rng: Rng::with_seed(seed),
            daemon,
            agents: BTreeMap::new(),
            plugged: AT_BOOT,
            pulled: BTreeSet::new(),
            made: AT_BOOT,
            unagreed: BTreeSet::new(),
            descriptors: 0,
            failing,
        };
        AGENTS.iter().for_each(|name| machine.engage(name));
        machine.descriptors = machine.open_descriptors();
        machine
    }

    /// Performs a random action. Returns its description.
    pub(crate) fn cycle(&mut self) -> String {
        let (on, off) = (self.online(), self.offline());
        let removable: Vec<u32> = on.iter().copied().filter(|id| *id != 0).collect();
        match self.rng.u32(..100) {
            0..20 if self.has_room() => self.plug(),
            0..45 if !off.is_empty() => {
                let id = self.any(&off);
                self.add(id)
            }
            45..65 if !removable.is_empty() => {
                let id = self.any(&removable);
                let (said, code) = daemon::hotadd(&self.guest, &["remove", &id.to_string()]);
                assert_eq!(code, Some(0), "X1: {said}");
                self.unagreed.remove(&id);
                format!("remove {id}")
            }
            65..71 if !removable.is_empty() => {
                let id = self.any(&removable);
                self.switch(id, false)
            }
            71..77 => {
                let pullable: Vec<u32> =
                    on.into_iter().chain(off).filter(|id| *id >= AT_BOOT).collect();
                if pullable.is_empty() { self.kill() } else { self.pull(&pullable) }
            }
            77..83 if !off.is_empty() => {
                let id = self.any(&off);
                self.switch(id, true)
            }
            83..91 => {
                let breakable: Vec<u32> = off.into_iter().filter(|id| *id < AT_BOOT).collect();
                if breakable.is_empty() { self.kill() } else { self.fail(&breakable) }
            }
            91..96 if !off.is_empty() => {
                let id = self.any(&off);
                self.kill_during(id)
            }
            _ => self.kill(),
        }
    }

    fn has_room(&self) -> bool {
        self.made < SLOTS && (self.plugged < MOST || !self.pulled.is_empty())
    }

    /// The hypervisor plugs in a processor, and the daemon adds it by itself. Linux 6.1 numbers processors in
    /// the order of arrival, and hangs with one after an empty slot.
    fn plug(&mut self) -> String {
        let back = self.pulled.pop_first();
        let id = back.unwrap_or(self.plugged);
        self.plugged = self.plugged.max(id + 1);
        self.made += 1;
        let (who, way) = self.order(id);
        self.guest.plug(id as usize).unwrap();
        self.comes_to(&format!("{id} has come to its outcome"), |status| {
            contains(&status["active"], id)
                || status["refused"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one["id"] == id))
        });
        self.judge(id, who, way);
        format!("plug {id}, {who} is to {}", way.word())
    }

    /// The hypervisor unplugs a processor, whether it is on or off.
    fn pull(&mut self, pullable: &[u32]) -> String {
        let id = self.any(pullable);
        let on = self.online().contains(&id);
        self.guest.remove_cpu(id as usize).unwrap();
        self.pulled.insert(id);
        self.unagreed.remove(&id);
        self.comes_to(&format!("{id} is gone"), |status| {
            let gone = !["active", "candidates", "unagreed"]
                .iter()
                .any(|list| contains(&status[list], id));
            gone && (!on || contains(&status["vanished"], id))
        });
        format!("pull {id}, which is {}", if on { "on (X2)" } else { "off" })
    }

    /// An explicit request adds it.
    fn add(&mut self, id: u32) -> String {
        let (who, way) = self.order(id);
        let (said, code) = daemon::hotadd(&self.guest, &["add", &id.to_string()]);
        let expected = if way == Way::Agree { 0 } else { 1 };
        assert_eq!(code, Some(expected), "add {id}, {who} is to {}: {said}", way.word());
        if way != Way::Agree {
            assert!(said.contains(who), "{who} refused {id}, and is named: {said}");
        }
        self.judge(id, who, way);
        format!("add {id}, {who} is to {}", way.word())
    }

    /// The kernel fails to start it, once.
    fn fail(&mut self, breakable: &[u32]) -> String {
        let id = self.any(breakable);
        self.guest.write(&cpu(&format!("cpu{id}/hotplug/fail")), &self.failing).unwrap();
        let (said, code) = daemon::hotadd(&self.guest, &["add", &id.to_string()]);
        assert!(code == Some(1) && said.contains("EAGAIN"), "A4: {said}");
        assert_eq!(online(&self.guest, id as usize), "0", "A4: it was not tried again");
        format!("the kernel fails to start {id}")
    }

    /// A processor is switched without the daemon.
    fn switch(&mut self, id: u32, on: bool) -> String {
        self.guest.write(&cpu(&format!("cpu{id}/online")), if on { "1" } else { "0" }).unwrap();
        self.comes_to(&format!("{id} was noticed"), |status| {
            contains(&status["active"], id) == on && contains(&status["unagreed"], id) == on
        });
        if on {
            self.unagreed.insert(id)
        } else {
            self.unagreed.remove(&id)
        };
        format!("somebody switches {id} {}", if on { "on (Q3)" } else { "off (X2)" })
    }

    fn kill(&mut self) -> String {
        self.guest.signal(self.daemon, KILL).unwrap();
        self.revive();
        "kill -9 of the daemon".into()
    }

    /// The daemon is killed while it adds a processor, after a random time.
    fn kill_during(&mut self, id: u32) -> String {
        let pid = self.guest.start(&["hotadd", "add", &id.to_string()], "/tmp/adding").unwrap();
        for _ in 0..self.rng.u32(..6) {
            // A command that takes a moment and does nothing else.
            self.guest.read("/proc/uptime").unwrap();
        }
        self.guest.signal(self.daemon, KILL).unwrap();
        self.guest.wait(pid, LIMIT).unwrap();
        self.revive();
        let came = if self.online().contains(&id) { "joined" } else { "stayed out" };
        format!("kill -9 of the daemon while it adds {id}, which {came}")
    }

    /// Starts the daemon again. Its agents reconnect by themselves.
    fn revive(&mut self) {
        self.guest.wait(self.daemon, LIMIT).unwrap();
        self.daemon = daemon::start(&self.guest, CONFIGURATION);
        self.unagreed.clear();
        self.comes_to("all agents are back", |status| {
            status["parties"].as_array().is_some_and(|all| all.len() == AGENTS.len())
        });
    }

    /// Tells one agent what to do about the next processor.
    fn order(&mut self, id: u32) -> (&'static str, Way) {
        let who = AGENTS[self.rng.usize(..AGENTS.len())];
        let way = match self.rng.u32(..20) {
            0..12 => Way::Agree,
            12..16 => Way::Refuse,
            16..19 => Way::Crash,
            _ => Way::Hang,
        };
        self.guest
            .run(&["sh", "-c", &format!("echo {}={id} > /tmp/{who}.orders", way.word())])
            .unwrap();
        (who, way)
    }

    /// Checks that the outcome is as ordered. An agent that is gone comes back.
    fn judge(&mut self, id: u32, who: &'static str, way: Way) {
        let expected = if way == Way::Agree { "1" } else { "0" };
        let found = online(&self.guest, id as usize);
        assert_eq!(found, expected, "{id}: {who} was to {} (A3, L3)", way.word());
        self.guest.run(&["rm", &format!("/tmp/{who}.orders")]).unwrap();
        match way {
            Way::Crash => drop(self.guest.wait(self.agents[who], LIMIT).unwrap()),
            Way::Hang => {
                self.guest.signal(self.agents[who], KILL).unwrap();
                self.guest.wait(self.agents[who], LIMIT).unwrap();
            }
            Way::Agree | Way::Refuse => return,
        }
        self.one_outcome_each(who);
        self.engage(who);
    }

    fn engage(&mut self, name: &'static str) {
        let said = format!("/tmp/{name}");
        let orders = format!("/tmp/{name}.orders");
        let pid = self.guest.start(&["lab-agent", SOCKET, name, &orders], &said).unwrap();
        until(&self.guest, &said, &format!("{name} is registered"));
        self.agents.insert(name, pid);
    }

    /// The invariants when nothing is under way.
    pub(crate) fn holds(&mut self, context: &str) {
        let status = self.status();
        let list = |ids: &BTreeSet<u32>| ids.iter().map(u32::to_string).collect::<Vec<_>>();
        let sysfs = self.guest.read(&cpu("online")).unwrap();
        assert_eq!(
            status["active"].as_str(),
            Some(sysfs.trim()),
            "the set is the kernel's; {context}"
        );
        let unagreed = ids(status["unagreed"].as_str().unwrap());
        assert_eq!(
            list(&unagreed),
            list(&self.unagreed),
            "what nobody agreed to is reported, and nothing else (Q3); {context}"
        );
        assert_eq!(status["parties"].as_array().map(Vec::len), Some(3), "{status}; {context}");
        assert_eq!(status["waiting"].as_array().map(Vec::len), Some(0), "{status}; {context}");
        assert_eq!(self.open_descriptors(), self.descriptors, "descriptors; {context}");
        let data = self.data();
        assert!(data < MOST_KIB, "the daemon has {data} KiB of data; {context}");
    }

    /// One life of the daemon until its history is full, and beyond: memory must not grow any more.
    pub(crate) fn stays_flat(&mut self) {
        let id = self.online().last().copied().filter(|id| *id != 0);
        let id = id.unwrap_or_else(|| {
            assert_eq!(daemon::hotadd(&self.guest, &["add", "1"]).1, Some(0));
            1
        });
        let round = |rounds: u32| {
            for _ in 0..rounds {
                for what in ["remove", "add"] {
                    let (said, code) = daemon::hotadd(&self.guest, &[what, &id.to_string()]);
                    assert_eq!(code, Some(0), "{said}");
                }
            }
            self.data()
        };
        // Each round is at least 14 events, and the history has 1,000.
        let full = round(80);
        let later = round(80);
        println!("data when the history is full: {full} KiB, and later: {later} KiB");
        assert!(later <= full + 64, "{later} KiB of data, and {full} KiB before");
    }

    pub(crate) fn end(mut self) {
        for name in AGENTS {
            self.one_outcome_each(name);
        }
        let daemon = std::mem::take(&mut self.daemon);
        self.guest.signal(daemon, 15).unwrap();
        let ended = self.guest.wait(daemon, LIMIT).unwrap();
        assert!(ended.success(), "{ended}: {}", self.guest.read(SAID).unwrap());
    }

    /// Checks that every AddStart that an agent has answered had one outcome.
    fn one_outcome_each(&self, name: &str) {
        let said = self.guest.read(&format!("/tmp/{name}")).unwrap();
        let mut open = BTreeSet::new();
        for line in said.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, state, id, ..] = words[..] else { continue };
            let fits = match state {
                "AddStart" => open.insert(id.to_owned()),
                "AddComplete" | "AddFailure" | "refuses" => open.remove(id),
                _ => true,
            };
            assert!(fits, "{line:?}: one outcome for each AddStart (A5, A6): {said}");
        }
    }

    fn status(&self) -> Value {
        let (said, code) = daemon::hotadd(&self.guest, &["status", "--json"]);
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
    }

    fn comes_to(&self, what: &str, so: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        loop {
            let status = self.status();
            if so(&status) {
                return;
            }
            let said = || self.guest.read(SAID).unwrap();
            assert!(began.elapsed() < LIMIT, "{what}: {status}: {}", said());
        }
    }

    fn any(&mut self, of: &[u32]) -> u32 {
        of[self.rng.usize(..of.len())]
    }

    fn online(&self) -> Vec<u32> {
        ids(&self.guest.read(&cpu("online")).unwrap()).into_iter().collect()
    }

    fn offline(&self) -> Vec<u32> {
        let on = self.online();
        let present = ids(&self.guest.read(&cpu("present")).unwrap());
        present.into_iter().filter(|id| !on.contains(id)).collect()
    }

    fn open_descriptors(&self) -> usize {
        let listed = self.guest.run(&["ls", &format!("/proc/{}/fd", self.daemon)]).unwrap();
        listed.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count()
    }

    /// In KiB.
    /// The daemon's memory that is of no file, in KiB.
    fn data(&self) -> u64 {
        let smaps = self.guest.read(&format!("/proc/{}/smaps_rollup", self.daemon)).unwrap();
        let line = smaps.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// The daemon leaves offline processors to this test, except plugged ones.
const CONFIGURATION: &str = "[hardware]\nat-start = \"leave\"\n";

fn contains(list: &Value, id: u32) -> bool {
    ids(list.as_str().unwrap()).contains(&id)
}

/// The numbers of a list such as `0-2,5`.
fn ids(list: &str) -> BTreeSet<u32> {
    let parts = list.trim().split(',').filter(|part| !part.is_empty());
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<u32>().unwrap()..=last.parse::<u32>().unwrap()
    };
    parts.flat_map(range).collect()
}
