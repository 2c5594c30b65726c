//! The processes that the tests start: this test binary with a role.

use std::io::{BufRead, BufReader, Read, stdin};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use hotadd::hardware::{Affinity, Hardware, Tree, Watching};
use hotadd::{
    CpuList, Errno, EventKind, HardwareId, Notice, Observation, Partition, State, Status, Veto,
};
use rustix::process::{Uid, WaitOptions, getpid, set_child_subreaper, wait};
use rustix::thread::set_thread_res_uid;

use crate::list;
use crate::proc::{masks, own_mask};

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

/// The number of checks that must find nothing.
const CHECKS: u32 = 3_000;

/// A process that runs a role until it is dropped.
pub(crate) struct RoleProcess(Child);

impl RoleProcess {
    /// Starts one in the partition, and returns when it is ready.
    pub(crate) fn start(affinity: &Affinity, role: &str, detail: &str) -> Self {
        let mut command = command(role, detail);
        Self(affinity.spawn(&mut command).unwrap()).ready()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    fn ready(mut self) -> Self {
        // The pipe must stay open, because the process may print more.
        let lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        let ready = lines.map_while(Result::ok).any(|line| line.ends_with("ready"));
        assert!(ready, "the process did not become ready");
        self
    }
}

impl Drop for RoleProcess {
    fn drop(&mut self) {
        // Closing its input tells it to end, and to end its own children first.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Runs the assertions of a role in another process.
pub(crate) fn pass(role: &str) {
    let output = command(role, "").stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(output.status.success(), "in the role {role}");
}

fn command(role: &str, detail: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["role::run_role", "--exact", "--nocapture", "--test-threads=1"]);
    command.env("HOTADD_TEST_ROLE", role).env("HOTADD_TEST_DETAIL", detail);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The entry of the processes that other tests start. Run directly, it does nothing.
#[test]
fn run_role() {
    let detail = std::env::var("HOTADD_TEST_DETAIL").unwrap_or_default();
    match std::env::var("HOTADD_TEST_ROLE").as_deref() {
        Ok("family") => family(&detail),
        Ok("storm") => storm(),
        Ok("oneself") => own_process(),
        Ok("refusal") => refusal(),
        Ok("chain") => chain(),
        Ok("held") => held(),
        Ok("widened") => widened(),
        Ok("watched") => watched(),
        Ok("two") => two(),
        Ok("probing") => probing(),
        Ok("named") => named(detail),
        _ => println!("no role"),
    }
}

fn until_told() {
    println!("ready");
    let _ = stdin().read_to_end(&mut Vec::new());
}

/// "THREADS GENERATIONS": this many threads, and a child with as many, and so on.
fn family(detail: &str) {
    let (threads, generations) = detail.split_once(' ').unwrap();
    for _ in 0..threads.parse().unwrap() {
        thread::spawn(thread::park);
    }
    let generations: u32 = generations.parse().unwrap();
    let _child = generations.checked_sub(1).map(|next| {
        RoleProcess(command("family", &format!("{threads} {next}")).spawn().unwrap()).ready()
    });
    until_told();
}

/// Creates threads and processes, which create more, one after the other as fast as possible.
fn storm() {
    thread::spawn(|| {
        loop {
            // The pause is the life of the thread. Nothing waits for it.
            let brief = || thread::sleep(Duration::from_micros(500));
            thread::spawn(move || thread::spawn(brief).join()).join().unwrap().unwrap();
        }
    });
    thread::spawn(|| {
        loop {
            // Every process is waited for, because process 1 may not reap orphans.
            let _ = Command::new("sh").args(["-c", "(true & true; wait) & wait"]).status();
        }
    });
    until_told();
}

fn own_process() {
    let whole = own_mask();
    let (first, second) = (whole.ids()[0], whole.ids()[1]);
    let family = RoleProcess(command("family", "2 0").spawn().unwrap()).ready();
    let all = |mask: &CpuList| {
        let masks = masks(getpid().as_raw_nonzero().get().unsigned_abs());
        assert!(
            masks.len() > 4 && masks.iter().all(|(_, m)| m == mask),
            "not all {mask}: {masks:?}"
        );
    };
    let affinity = Affinity::new(Tree::Current, Some(&list(first))).unwrap();
    all(&list(first));
    assert_eq!(affinity.allowed(), whole, "narrowing by the partition itself does not bound it");
    affinity.start(second).unwrap();
    all(&crate::both(first, second));
    affinity.stop(second).unwrap();
    all(&list(first));
    drop(affinity);
    all(&whole);
    drop(family);

    // Now like a process that was started on one processor.
    let us = getpid().as_raw_nonzero().get().unsigned_abs();
    masks(us).iter().for_each(|(thread, _)| crate::proc::pin(*thread, first));
    let bound = Affinity::new(Tree::Current, None).unwrap();
    assert_eq!((bound.set(), bound.allowed()), (list(first), list(first)));
    assert_eq!(bound.candidates().unwrap(), []);
    let refusal = bound.admits(second).unwrap_err();
    assert_eq!(refusal.reason, format!("it is outside this process's allowed set {first}"));
    let error = Affinity::new(Tree::Current, Some(&list(second))).unwrap_err();
    let says = format!("outside the set that this process may use: {second}; it may use {first}");
    assert_eq!(error.to_string(), says);
}

/// Two children, of which the kernel lets us change the first only.
fn refusal() {
    let (first, second) = (own_mask().ids()[0], own_mask().ids()[1]);
    let affinity = Affinity::new(Tree::Descendants, Some(&list(first))).unwrap();
    let cat = || {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command
    };
    let ours = RoleProcess(affinity.spawn(cat().uid(NOBODY)).unwrap());
    let theirs = RoleProcess(affinity.spawn(&mut cat()).unwrap());
    // The user id changes for this thread only; the main thread stays root.
    let start = || {
        let nobody = Uid::from_raw(NOBODY);
        set_thread_res_uid(nobody, nobody, nobody).unwrap();
        affinity.start(second).unwrap_err()
    };
    let error = thread::scope(|scope| scope.spawn(start).join().unwrap());
    assert_eq!((error.status, error.errno), (Status::PRIVILEGE_NOT_HELD, Some(Errno::EPERM)));
    for actor in [&ours, &theirs] {
        assert_eq!(masks(actor.pid())[0].1, list(first));
    }
    assert_eq!(affinity.set(), list(first));
    affinity.start(second).expect("root may move both");
}

fn us() -> u32 {
    getpid().as_raw_nonzero().get().unsigned_abs()
}

/// The events of a partition, one line each.
fn told(partition: &Partition) -> (Observation, Receiver<String>) {
    let (sender, told) = channel();
    let observation = partition.observe(move |event| {
        let id = event.id.map(|id| id.to_string()).unwrap_or_default();
        let line = match (event.kind, event.agreed) {
            (EventKind::Joined, true) => format!("{id} joined"),
            (EventKind::Joined, false) => format!("{id} joined without agreement"),
            (EventKind::Left, _) => format!("{id} left"),
            (EventKind::Refused, _) => format!("{id} refused"),
            (EventKind::Breach, _) => event.reason.clone().unwrap_or_default(),
            _ => return,
        };
        let _ = sender.send(line);
    });
    (observation.unwrap(), told)
}

fn until(told: &Receiver<String>, wanted: &str) {
    loop {
        let line = told.recv_timeout(Duration::from_secs(60)).expect(wanted);
        println!("{line}");
        if line.contains(wanted) {
            return;
        }
    }
}

/// No system call distinguishes a mask that was set from the default. But a thread that never set one has
/// bits of processors that do not exist.
fn held() {
    let family = RoleProcess(command("family", "2 0").spawn().unwrap()).ready();
    let partition = Partition::process().unwrap();
    let active: CpuList = partition.active().iter().map(|p| p.id).collect();
    let raw = |thread: u32| {
        let status = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        list.unwrap().trim().parse::<CpuList>().unwrap()
    };
    for (thread, _) in masks(us()) {
        let thread = thread.as_raw_nonzero().get().unsigned_abs();
        assert_eq!(raw(thread), active, "of thread {thread}, as the kernel has it");
    }
    drop(family);
}

fn widened() {
    let (first, second) = (own_mask().ids()[0], own_mask().ids()[1]);
    masks(us()).iter().for_each(|(thread, _)| crate::proc::pin(*thread, first));
    let partition = Partition::process().unwrap();
    assert_eq!(partition.count(), 1, "the partition begins with one processor");
    let (_observation, told) = told(&partition);
    let agrees = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&agrees);
    let driver = move |notice: &Notice| match notice.state() {
        State::AddStart if notice.processor().id == second && !asked.load(Ordering::SeqCst) => {
            Err(Veto::new(Status::INSUFFICIENT_RESOURCES, "not yet"))
        }
        _ => Ok(()),
    };
    let _registration = partition.register("careful", driver).unwrap();
    // Like taskset, from another process: by thread id, to both processors.
    let widen = || {
        let thread = rustix::thread::gettid();
        let list = format!("{first},{second}");
        let taskset = Command::new("taskset").args(["-cp", &list, &thread.to_string()]).output();
        assert!(taskset.unwrap().status.success());
        thread
    };
    let thread = widen();
    until(&told, &format!("another process set the mask of thread {thread} of process"));
    until(&told, &format!("{second} refused"));
    crate::proc::wait_until("the mask is put back", || own_mask() == list(first));
    assert_eq!(partition.count(), 1);
    agrees.store(true, Ordering::SeqCst);
    // Widening again within ten seconds counts as the same request, so the test adds the processor itself.
    partition.add(second).unwrap();
    until(&told, &format!("{second} joined"));
    assert_eq!(own_mask(), crate::both(first, second));
    assert_eq!(partition.count(), 2);
}

/// A library in this process, and the program itself.
fn two() {
    let (first, second) = (own_mask().ids()[0], own_mask().ids()[1]);
    masks(us()).iter().for_each(|(thread, _)| crate::proc::pin(*thread, first));
    let program = Partition::process().unwrap();
    let library = Partition::process().unwrap();
    let agrees = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&agrees);
    let driver = move |notice: &Notice| match notice.state() {
        State::AddStart if notice.processor().id == second && !asked.load(Ordering::SeqCst) => {
            Err(Veto::new(Status::INSUFFICIENT_RESOURCES, "not yet"))
        }
        _ => Ok(()),
    };
    let _registration = library.register("careful", driver).unwrap();
    let (_observation, told) = told(&library);
    program.add(HardwareId(second.0)).expect_err("it is bounded, as it was begun on one");
    crate::proc::pin(rustix::thread::gettid(), second);
    until(&told, &format!("{second} refused"));
    crate::proc::wait_until("the mask is put back, because one partition refused", || {
        own_mask() == list(first)
    });
    agrees.store(true, Ordering::SeqCst);
    library.add(second).unwrap();
    crate::proc::wait_until("both have agreed", || {
        own_mask().contains(second) && program.count() == 2 && library.count() == 2
    });
}

/// Checks often, and asserts that nothing is found: no mask to put back, no processor that came or went. Each check probes
/// which processors the kernel permits.
fn quiet_surveys(affinity: &Affinity) {
    let set = affinity.active().unwrap();
    for n in 0..CHECKS {
        let survey = affinity.survey(&set);
        let empty: &[String] = &[];
        assert_eq!(survey.repaired, empty, "check {n}");
        assert_eq!((survey.appeared, survey.vanished), (vec![], vec![]), "check {n}");
    }
}

/// Three partitions of this process, one of which only watches. Their threads check at the same time.
fn probing() {
    let whole = own_mask();
    let one = Affinity::new(Tree::Current, Some(&list(whole.ids()[0]))).unwrap();
    let other = Affinity::new(Tree::Current, None).unwrap();
    assert_eq!(other.set(), one.set(), "the second is bounded by the masks that the first has set");
    let watching = Watching::new().unwrap();
    thread::scope(|scope| {
        let checks = scope.spawn(|| quiet_surveys(&one));
        scope.spawn(|| quiet_surveys(&other));
        while !checks.is_finished() {
            assert_eq!(watching.active().unwrap(), [whole.ids()[0]], "of all threads");
            let third = Affinity::new(Tree::Current, None).unwrap();
            assert_eq!(third.set(), one.set(), "of a partition that begins meanwhile");
            std::mem::forget(third); // if it were dropped, its threads might run anywhere
        }
    });
}

/// A process with a second thread, which has this name.
fn named(name: String) {
    thread::Builder::new().name(name).spawn(thread::park).unwrap();
    until_told();
}

fn watched() {
    let whole = own_mask();
    let (first, second) = (whole.ids()[0], whole.ids()[1]);
    let all = |mask: &CpuList| masks(us()).iter().all(|(_, m)| m == mask);
    let partition = Partition::watch_process().unwrap();
    assert_eq!(partition.hardware(), "watching");
    let (_observation, told) = told(&partition);
    let refused = partition.add(first).unwrap_err().to_string();
    assert!(refused.contains("only watches"), "{refused}");
    masks(us()).iter().for_each(|(thread, _)| crate::proc::pin(*thread, first));
    until(&told, &format!("{second} left"));
    assert!(all(&list(first)), "no mask is changed");
    crate::proc::pin(rustix::thread::gettid(), second);
    until(&told, &format!("{second} joined without agreement"));
    assert_eq!(own_mask(), list(second), "no mask is put back");
}

/// Processes that each fork the next and exit at once, while the mask changes back and forth.
#[expect(clippy::zombie_processes, reason = "another thread reaps all children")]
fn chain() {
    set_child_subreaper(Some(getpid())).unwrap();
    thread::spawn(|| {
        loop {
            if !matches!(wait(WaitOptions::empty()), Ok(Some(_))) {
                thread::yield_now();
            }
        }
    });
    let (first, second) = (own_mask().ids()[0], own_mask().ids()[1]);
    let affinity = Affinity::new(Tree::Descendants, Some(&list(first))).unwrap();
    // The last one prints its mask.
    let script = r#"
        if [ $N -gt 20000 ] || [ ! -e "$FLAG" ]; then
            while read name mask; do [ "$name" = Cpus_allowed_list: ] && echo "$mask"; done </proc/$$/status
            exit
        fi
        N=$((N+1)) sh -c "$SCRIPT" & exit"#;
    let flag = Flag(std::env::temp_dir().join(format!("hotadd-test-{}", getpid())));
    let mut sh = Command::new("sh");
    sh.args(["-c", script]).env("SCRIPT", script).env("FLAG", &flag.0).env("N", "0");
    let mut late = 0;
    for _ in 0..5 {
        std::fs::write(&flag.0, "").unwrap();
        let first_of_them = affinity.spawn(sh.stdin(Stdio::null()).stdout(Stdio::piped())).unwrap();
        let started = affinity.start(second);
        // A pass can miss a process that is forked behind it. The looks that follow find it, each with the same chance.
        late += (0..20).map(|_| affinity.survey(&[first, second]).repaired.len()).sum::<usize>();
        std::fs::remove_file(&flag.0).unwrap();
        // They all hold the pipe's other end, which closes when the last one has ended.
        let said = std::io::read_to_string(first_of_them.stdout.unwrap()).unwrap();
        match started {
            Ok(()) => assert_eq!(said.trim().parse(), Ok(crate::both(first, second))),
            Err(ref error) => {
                assert_eq!(error.errno, Some(Errno::EAGAIN), "the only possible error");
            }
        }
        println!("{started:?}, the last one may run on {said}");
        affinity.stop(second).unwrap();
    }
    println!("{late} threads were found late");
}

/// The file that keeps the chain running. It must not outlive a failed test.
struct Flag(std::path::PathBuf);

impl Drop for Flag {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
