//! `lab-holder` in a guest: a program whose busy threads continuously check that they run only where they may.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hotadd::{CpuList, HardwareId};
use lab::{Guest, Kernel, Lab};

use super::{lab, text};

/// Longer than any step takes in an emulated machine, even with all processors busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// The number of samples that counts as sufficient: some tenths of a second of all threads.
const ENOUGH: u64 = 20_000;

/// The options of a guest that has the program.
pub(crate) fn with_holder(kernel: Kernel) -> Lab {
    lab(kernel).program("lab-holder").unwrap()
}

/// The running program.
pub(crate) struct Holder<'a> {
    guest: &'a Guest,
    pub(crate) pid: u32,
    name: &'static str,
    reports: u32,
    /// All counts since the last [`total`](Self::total).
    sum: Counts,
}

/// The counts of the threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) samples: u64,
    pub(crate) outside: u64,
    /// The processors of these samples.
    pub(crate) ids: BTreeSet<u32>,
    /// The longest time for which one thread was outside, in milliseconds.
    pub(crate) longest_ms: f64,
    /// The time from the first to the last sample outside, over all threads.
    pub(crate) span_ms: f64,
    pub(crate) slotless: u64,
    /// The processors inside of the set on which they ran.
    pub(crate) on: BTreeSet<u32>,
    pub(crate) set: String,
    pub(crate) count: u32,
    /// The text of the report.
    pub(crate) line: String,
}

impl<'a> Holder<'a> {
    /// Starts it with this script, in which `$holder` is the program and its name for commands.
    pub(crate) fn start(guest: &'a Guest, name: &'static str, script: &str) -> Self {
        let orders = format!("/tmp/{name}.orders");
        assert!(guest.run(&["mkfifo", &orders]).unwrap().status.success(), "{orders} is made");
        let script = format!("set -e; holder='lab-holder {orders}'; {script}");
        let pid = guest.start(&["sh", "-c", &script], &format!("/tmp/{name}")).unwrap();
        let mut holder = Self { guest, pid, name, reports: 0, sum: Counts::default() };
        holder.until(0, "up: ");
        let begun = holder.rest();
        assert_eq!((begun.outside, begun.slotless), (0, 0), "before anything happens: {begun:?}");
        holder
    }

    pub(crate) fn order(&self, line: &str) {
        // Without starting a process, which takes long beside busy threads.
        self.guest.write(&format!("/tmp/{}.orders", self.name), &format!("{line}\n")).unwrap();
    }

    fn said(&self) -> String {
        // Up to the last newline, so that the last line is complete.
        text(&self.guest.get(&format!("/tmp/{}", self.name)).unwrap())
    }

    /// A mark: output after it is new.
    pub(crate) fn mark(&self) -> usize {
        self.said().len()
    }

    /// Waits for a line after a mark that begins with this text, and returns it.
    pub(crate) fn until(&mut self, mark: usize, begins: &str) -> String {
        self.until_one(mark, &[begins])
    }

    /// Waits for a line that begins with one of these texts.
    pub(crate) fn until_one(&mut self, mark: usize, begins: &[&str]) -> String {
        let began = Instant::now();
        loop {
            let said = self.said();
            let whole = &said[..said.rfind('\n').map_or(0, |end| end + 1)];
            let mut lines = whole.get(mark..).unwrap_or_default().lines();
            if let Some(line) =
                lines.find(|line| begins.iter().any(|begin| line.starts_with(begin)))
            {
                return line.to_owned();
            }
            if began.elapsed() > LIMIT {
                panic!("{begins:?} is said within {LIMIT:?}; {}", self.evidence());
            }
        }
    }

    /// The known state, for the message of a failed test.
    fn evidence(&mut self) -> String {
        let masks = self.masks();
        let counts = if masks.is_empty() { None } else { Some(self.report()) };
        let script = format!(
            "echo online: $(cat /sys/devices/system/cpu/online); cd /proc/{}/task
            for t in *; do echo $t: $(cat $t/comm $t/wchan); done",
            self.pid
        );
        let threads = self.guest.run(&["sh", "-c", &script]).map(|ran| text(&ran.stdout));
        let threads = threads.unwrap_or_else(|error| error.to_string());
        let said = self.said();
        format!("counted: {counts:?}\nmasks: {masks:?}\nthreads: {threads}\nsaid: {said}")
    }

    /// The counts of the threads since the last report.
    pub(crate) fn report(&mut self) -> Counts {
        self.reports += 1;
        let name = format!("report {} ", self.reports);
        self.order(name.trim_end());
        let line = self.guest.line(&format!("/tmp/{}", self.name), &name, LIMIT).unwrap();
        let counts = Counts::parse(&line);
        self.sum.add(&counts);
        counts
    }

    /// All counts since the last call.
    pub(crate) fn total(&mut self) -> Counts {
        self.report();
        std::mem::take(&mut self.sum)
    }

    /// Lets the threads check for a while. Returns the counts of that time.
    pub(crate) fn rest(&mut self) -> Counts {
        let began = Instant::now();
        let mut sum = Counts::default();
        while sum.samples < ENOUGH {
            sum.add(&self.report());
            assert!(began.elapsed() < LIMIT, "the threads go on: {sum:?}");
        }
        sum
    }

    /// Waits until the threads have checked for a while without a sample outside.
    pub(crate) fn comes_to_rest(&mut self) -> Counts {
        let began = Instant::now();
        loop {
            let rest = self.rest();
            if rest.outside == 0 {
                return rest;
            }
            assert!(began.elapsed() < LIMIT, "they stop running elsewhere: {rest:?}");
        }
    }

    /// Waits until its threads have run on this processor, which has joined.
    pub(crate) fn runs_on(&mut self, id: u32) {
        let began = Instant::now();
        loop {
            let counts = self.report();
            if counts.on.contains(&id) {
                return;
            }
            assert!(began.elapsed() < LIMIT, "threads run on {id}, which has joined: {counts:?}");
        }
    }

    /// Checks that it has this set, and that it neither runs nor may run on another processor for a while.
    pub(crate) fn stays_on(&mut self, set: &str) {
        let (kernel, may) = (self.guest.kernel(), ids(set));
        let rest = self.comes_to_rest();
        assert_eq!(ids(&rest.set), may, "{kernel}: the active set; {}", self.evidence());
        assert_eq!(rest.count as usize, may.len(), "{kernel}: count() follows: {rest:?}");
        for (thread, mask) in self.masks() {
            let inside = ids(&mask).is_subset(&may);
            assert!(inside, "{kernel}: thread {thread} may run on {mask}, and the set is {set}");
        }
        let rest = self.rest();
        assert_eq!((rest.outside, rest.slotless), (0, 0), "{kernel}: it stays so: {rest:?}");
    }

    /// The masks of its threads, as the kernel reports them.
    pub(crate) fn masks(&self) -> BTreeMap<u32, String> {
        masks(self.guest, self.pid)
    }

    /// Waits until every thread has exactly this mask.
    pub(crate) fn all_masks_are(&mut self, list: &str) {
        let began = Instant::now();
        while !self.masks().values().all(|mask| mask == list) {
            if began.elapsed() > LIMIT {
                panic!("all masks are {list} within {LIMIT:?}: {}", self.evidence());
            }
        }
    }

    /// Sets the masks of all its threads, like `taskset -ap`.
    pub(crate) fn widen(&self, list: &str) {
        let ran = self.guest.run(&["lab-holder", "widen", &self.pid.to_string(), list]).unwrap();
        assert!(ran.status.success(), "{}", text(&ran.stdout));
    }

    /// Checks that no processor joined without agreement.
    pub(crate) fn nothing_joined_without_agreement(&self) {
        let said = self.said();
        assert!(
            !said.contains("joined without agreement"),
            "Q3: no processor joined without agreement: {said}"
        );
    }

    pub(crate) fn end(mut self) {
        let begun = self.rest();
        assert_eq!((begun.outside, begun.slotless), (0, 0), "at the end: {begun:?}");
        self.order("end");
        assert!(self.guest.wait(self.pid, LIMIT).unwrap().success(), "{}", self.said());
    }
}

impl Counts {
    fn parse(line: &str) -> Self {
        let field = |name: &str| {
            let of = |word: &'_ str| Some(word.strip_prefix(name)?.strip_prefix('=')?.to_owned());
            line.split(' ').find_map(of).unwrap_or_else(|| panic!("{name} in {line}"))
        };
        let number = |name: &str| field(name).parse::<u64>().unwrap();
        let ms = |name: &str| field(name).parse::<f64>().unwrap();
        let ids = |name: &str| ids(&field(name));
        Self {
            samples: number("samples"),
            outside: number("outside"),
            ids: ids("ids"),
            longest_ms: ms("longest_ms"),
            span_ms: ms("last_ms") - ms("first_ms"),
            slotless: number("slotless"),
            on: ids("on"),
            set: field("set"),
            count: field("count").parse().unwrap(),
            line: line.to_owned(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.outside += other.outside;
        self.slotless += other.slotless;
        self.ids.extend(&other.ids);
        self.on.extend(&other.on);
        self.longest_ms = self.longest_ms.max(other.longest_ms);
        self.span_ms = self.span_ms.max(other.span_ms);
        self.set.clone_from(&other.set);
        self.count = other.count;
        self.line.clone_from(&other.line);
    }

    /// Prints the measurements: how much of the time, and how long at most, threads were outside.
    pub(crate) fn show(&self, kernel: Kernel, what: &str) {
        let Self { samples, outside, ids, longest_ms, span_ms, .. } = self;
        #[expect(clippy::cast_precision_loss, reason = "a share, for people")]
        let percent = *outside as f64 * 100.0 / (*samples).max(1) as f64;
        println!(
            "{kernel}: {what}: {outside} of {samples} samples outside ({percent:.3} %), on {ids:?}, \
             longest {longest_ms:.1} ms for a thread, {span_ms:.1} ms for all"
        );
    }
}

/// The thread that asks the kernel for all processors, to read back which are permitted. It does nothing else, and ends at once.
const PROBE: &str = "hotadd-probe";

/// The masks of the threads of a process, as the kernel reports them, without the probing thread. Threads that end meanwhile are left
/// out.
pub(crate) fn masks(guest: &Guest, pid: u32) -> BTreeMap<u32, String> {
    let script = format!("grep -H -E '^(Name|Cpus_allowed_list)' /proc/{pid}/task/*/status");
    let ran = guest.run(&["sh", "-c", &script]).unwrap();
    let said = text(&ran.stdout);
    let of = |line: &str, name: &str| {
        let (path, value) = line.split_once(name)?;
        Some((path.split('/').nth(4)?.parse().ok()?, value.to_owned()))
    };
    let names: BTreeMap<u32, String> =
        said.lines().filter_map(|line| of(line, ":Name:\t")).collect();
    let masks = said.lines().filter_map(|line| of(line, ":Cpus_allowed_list:\t"));
    masks.filter(|(thread, _)| names.get(thread).is_none_or(|name| name != PROBE)).collect()
}

/// The numbers of a list such as `0-2,5`, or of an empty one.
pub(crate) fn ids(list: &str) -> BTreeSet<u32> {
    let list: CpuList = list.parse().unwrap_or_default();
    list.ids().iter().map(|HardwareId(id)| *id).collect()
}
