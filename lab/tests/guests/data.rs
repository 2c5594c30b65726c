//! Data and workers for each processor (`PerProcessor`, `Counter`, `Workers`), in a guest whose processors are hot-added, join and
//! leave, while threads that count on them are moved all the time (`lab-holder data`). Nothing is lost and nothing leaks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lab::{Guest, Kernel};

use crate::common::cpu;
use crate::common::holder::{ids, masks, with_holder};

/// Longer than any step takes in an emulated machine, even with all processors busy.
const LIMIT: Duration = Duration::from_secs(180);

/// How often each hot-added processor joins and leaves by agreement.
const ROUNDS: usize = 2;

const HOT: [u32; 3] = [2, 3, 4];

const PROGRAM: &str = "/bin/lab-holder";
const ORDERS: &str = "/tmp/data.orders";
const SAID: &str = "/tmp/data";

/// The partition brings the processors online itself. The program has rseq, as the C library gives it to each.
#[test]
fn counts_and_jobs_survive_processors_that_the_partition_switches() {
    let guest = with_holder(Kernel::V6_12).cpus(2, 8).boot().unwrap();
    plug_in(&guest);
    let mut program = Program::start(&guest, &[], "machine");
    assert!(program.until("up: ").ends_with(" source: Rseq"), "{}", program.said());
    let mut joins = rounds(&mut program);
    // The hypervisor takes one away without asking (X2), and brings it back.
    for id in [2, 4] {
        program.order(&format!("add {id}"));
        program.works_on(id);
    }
    guest.write(&cpu("cpu2/online"), "0").unwrap();
    program.until("2 vanished @");
    guest.remove_cpu(4).unwrap();
    program.until("4 vanished @");
    guest.add_cpu(4).unwrap();
    for id in [2, 4] {
        program.order(&format!("add {id}"));
        program.works_on(id);
    }
    joins += 4;
    let said = program.end(joins, joins - 2);

    for (state, known) in [("AddStart", false), ("AddComplete", true)] {
        let lines = of(&said, state).filter(|(id, _)| HOT.contains(id));
        for (_, line) in lines {
            for field in ["core", "package", "siblings"] {
                let is = line.contains(&format!("{field}: Some("));
                assert_eq!(is, known, "{field} is known from AddComplete on: {line}");
            }
        }
    }
}

/// Another process brings the processors online. The partition is over the affinity of its own process. The program has no rseq, like
/// one that is linked statically.
#[test]
fn counts_and_jobs_survive_processors_that_others_switch() {
    let guest = with_holder(Kernel::V6_12).cpus(2, 8).boot().unwrap();
    plug_in(&guest);
    let without_rseq = ["env", "GLIBC_TUNABLES=glibc.pthread.rseq=0"];
    let mut program = Program::start(&guest, &without_rseq, "process");
    assert!(program.until("up: ").ends_with(" source: Getcpu"), "{}", program.said());
    for id in HOT {
        guest.write(&cpu(&format!("cpu{id}/online")), "1").unwrap();
        program.until(&format!("{id} joined @"));
        program.works_on(id);
    }
    for id in HOT {
        program.order(&format!("remove {id}"));
    }
    let mut joins = HOT.len() + rounds(&mut program);
    program.order("add 3");
    program.works_on(3);
    guest.write(&cpu("cpu3/online"), "0").unwrap();
    program.until("3 vanished @");
    // A thread whose mask had only this processor gets a mask of all from the kernel, which is put back at the next look (H3).
    let began = Instant::now();
    let inside = |mask: &String| ids(mask).is_subset(&ids("0-1"));
    while !masks(&guest, program.pid).values().all(inside) {
        assert!(began.elapsed() < LIMIT, "masks are put back: {:?}", masks(&guest, program.pid));
    }
    println!(
        "all masks were inside of the set {} ms after that was said",
        began.elapsed().as_millis()
    );
    joins += 1;
    let said = program.end(joins, joins);

    for state in ["AddStart", "AddComplete"] {
        for (_, line) in of(&said, state) {
            for field in ["core", "package", "siblings"] {
                assert!(line.contains(&format!("{field}: Some(")), "{field} is known: {line}");
            }
        }
    }
}

fn plug_in(guest: &Guest) {
    for id in HOT {
        assert_eq!(guest.add_cpu(id as usize).unwrap(), id, "slots are filled in order");
    }
}

/// Every processor joins, gets work, and leaves, and all of it again. Returns how many joined.
fn rounds(program: &mut Program<'_>) -> usize {
    for round in 0..ROUNDS {
        for id in HOT {
            program.order(&format!("add {id}"));
            program.works_on(id);
        }
        let report = program.order("report");
        println!("round {round}: {}", report.line);
        assert_eq!(ids(report.field("own")), ids("0-4"), "each worker is on its own: {report:?}");
        assert_eq!(report.number("elsewhere"), 0, "no job ran elsewhere: {report:?}");
        // Another order in each round.
        for n in 0..HOT.len() {
            program.order(&format!("remove {}", HOT[(n + round) % HOT.len()]));
        }
    }
    ROUNDS * HOT.len()
}

/// The notices of this state in the output, with their processors.
fn of<'a>(said: &'a str, state: &str) -> impl Iterator<Item = (u32, &'a str)> {
    let begin = format!("{state} ");
    said.lines().filter_map(move |line| {
        let (id, _) = line.strip_prefix(&begin)?.split_once(' ')?;
        Some((id.parse().ok()?, line))
    })
}

/// The running program.
struct Program<'a> {
    guest: &'a Guest,
    pid: u32,
    orders: u32,
}

/// A line of the program with `name=value` fields.
#[derive(Debug)]
struct Report {
    line: String,
}

impl Report {
    fn field(&self, name: &str) -> &str {
        let of = |word: &'_ str| word.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        let word = self.line.split(' ').find(|word| of(word));
        &word.unwrap_or_else(|| panic!("{name} in {}", self.line))[name.len() + 1..]
    }

    fn number(&self, name: &str) -> u64 {
        self.field(name).parse().unwrap()
    }
}

impl<'a> Program<'a> {
    /// Starts it, by another program if there is one.
    fn start(guest: &'a Guest, by: &[&str], over: &str) -> Self {
        assert!(guest.run(&["mkfifo", ORDERS]).unwrap().status.success(), "{ORDERS} is made");
        let pid = guest.start(&[by, &[PROGRAM, "data", ORDERS, over]].concat(), SAID).unwrap();
        Self { guest, pid, orders: 0 }
    }

    fn said(&self) -> String {
        self.guest.read(SAID).unwrap()
    }

    fn until(&self, part: &str) -> String {
        let line = self.guest.line(SAID, part, LIMIT);
        line.unwrap_or_else(|error| panic!("{part:?} is said: {error}\n{}", self.said()))
    }

    /// Gives a command, and waits until it is done.
    fn order(&mut self, command: &str) -> Report {
        self.guest.write(ORDERS, &format!("{command}\n")).unwrap();
        let line = self.until(&format!("done {}.", self.orders));
        self.orders += 1;
        assert!(!line.contains("error"), "{command}: {line}\n{}", self.said());
        Report { line }
    }

    /// Waits until the worker of this processor, which has joined, has run a job there.
    fn works_on(&mut self, id: u32) {
        let began = Instant::now();
        loop {
            let report = self.order("report");
            if ids(report.field("on")).contains(&id) {
                return;
            }
            assert!(began.elapsed() < LIMIT, "a job runs on {id}, which has joined: {report:?}");
        }
    }

    /// Ends the program, and checks its counts after that many processors joined and left. Returns its output.
    fn end(self, joins: usize, leaves: usize) -> String {
        self.guest.write(ORDERS, "end\n").unwrap();
        let end = Report { line: self.until("end counted=") };
        println!("{joins} joined, {leaves} left; {}", end.line);
        assert!(self.guest.wait(self.pid, LIMIT).unwrap().success(), "{}", self.said());
        let said = self.said();
        let (joins, leaves) = (joins as u64, leaves as u64);

        let counted = end.number("counted");
        assert_eq!(end.number("counter"), counted, "the counter loses nothing: {end:?}");
        assert_eq!(end.number("table"), counted, "the table loses nothing: {end:?}");
        // One for each of both processors at boot, and the spare one.
        assert_eq!(
            end.number("made"),
            3 + joins,
            "each processor that joins has a new value: {end:?}\n{said}"
        );
        assert_eq!(end.number("freed"), leaves, "each value was merged: {end:?}\n{said}");
        assert_eq!(end.number("dropped"), leaves, "each value was dropped, once: {end:?}");
        let mut seen = BTreeMap::new();
        for (id, line) in of(&said, "AddComplete") {
            let value = line.split(' ').find_map(|word| word.strip_prefix("value=")).unwrap();
            let before = seen.insert(value.to_owned(), id);
            assert_eq!(before, None, "processor {id} has a value of its own: {line}\n{said}");
        }
        assert_eq!(seen.len() as u64, 2 + joins, "every AddComplete was heard: {said}");

        assert!(end.number("jobs") < 1 << 22, "jobs were submitted until the end: {end:?}");
        for zero in ["lost", "twice", "panicked", "unpinned"] {
            assert_eq!(end.number(zero), 0, "no job or worker: {zero}: {end:?}");
        }
        assert!(!said.contains("joined without agreement"), "Q3: {said}");
        // Where the spare value was used (H5): a thread whose only processor vanished may run anywhere until the next look.
        let spare = said.lines().filter(|line| line.contains("gave the spare value"));
        println!("reported: {:?}", spare.collect::<Vec<_>>());
        for state in ["AddStart", "AddComplete"] {
            let last = of(&said, state).last().unwrap().1;
            println!("known: {last}");
        }
        said
    }
}
