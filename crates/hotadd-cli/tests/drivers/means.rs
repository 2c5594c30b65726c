//! A driver's process ends with hotadd and stays within its resource limits. Internal actions of hotadd's own
//! libraries never end it.

use std::cell::Cell;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::built::{Built, Form, Run};
use crate::common::live::{Live, comes_true};
use crate::common::{of, output, stderr};

fn is_there(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie counts as ended.
    !status.is_empty() && !status.contains(") Z ")
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

/// A field of a `/proc` status text.
fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_default().trim().to_owned()
}

/// The `/proc` status texts of all threads of a process.
fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok()).collect()
}

/// Checks that the driver's process, when it is stuck, ends when hotadd is killed.
fn ends_with_us(driver: &str, is_stuck: impl Fn(&[String]) -> bool) {
    let live = Live::start(&["--add", "none", "--driver", driver]);
    let mut host = None;
    comes_true("the driver is stuck", || {
        host = live.hosts().first().map(|(pid, _)| *pid);
        host.is_some_and(|host| is_stuck(&threads(host)))
    });
    kill(live.run.id());
    comes_true("its process ends with hotadd", || !is_there(host.unwrap()));
}

#[test]
fn a_driver_with_all_threads_hung_ends_when_hotadd_is_killed() {
    let built = Built::new();
    // Each thread stays in the handler, where the signal is blocked. The numbers of threads are far apart where many processes begin.
    let hangs = "
        static void hang(int signal) { for (;;) pause(); }
        int DriverEntry(void *driver, void *path) {
            long pid = getpid(), own = syscall(186);
            signal(12, hang);
            for (long tid = pid; tid < pid + 20000; tid++) if (tid != own) syscall(234, pid, tid, 12L);
            syscall(234, pid, own, 12L);
            for (;;) pause();
        }";
    let hangs_there = |status: &String| {
        let blocked = u64::from_str_radix(&field(status, "SigBlk:"), 16).unwrap_or(0);
        blocked & (1 << 11) != 0
    };
    ends_with_us(&built.of("hangs", hangs), |threads| {
        threads.len() > 2 && threads.iter().all(hangs_there)
    });
}

fn all_are_stopped(threads: &[String]) -> bool {
    !threads.is_empty() && threads.iter().all(|status| field(status, "State:").starts_with('T'))
}

#[test]
fn a_stopped_driver_process_ends_when_hotadd_is_killed() {
    let built = Built::new();
    ends_with_us(&built.doing("stops", "kill(getpid(), 19);"), all_are_stopped);
}

#[test]
fn a_sample_hung_while_registering_ends_when_hotadd_is_killed() {
    // The driver never reaches the code that would notice hotadd's end. It counts as stuck after it was
    // asleep for many looks.
    const LOOKS: u32 = 200;
    let looks = Cell::new(0);
    ends_with_us("sample:isolated,hang=add-start,replay,timeout=60000", |threads| {
        let asleep = |status: &String| field(status, "State:").starts_with('S');
        let all = threads.len() > 1 && threads.iter().all(asleep);
        looks.set(if all { looks.get() + 1 } else { 0 });
        looks.get() == LOOKS
    });
}

#[test]
fn a_driver_may_have_a_thread_for_each_of_many_processors() {
    let percpu = Form::Sys.sample("percpu");
    let events = Run::new("1+700").driver(&percpu.path).ends_well();
    assert!(of(&events, "fault").is_empty(), "{:#?}", of(&events, "fault"));
    assert_eq!(of(&events, "joined").len(), 700, "each processor has a DPC thread");
}

#[test]
fn the_number_of_a_drivers_threads_is_limited() {
    let built = Built::new();
    // A thread that begins only after DriverEntry has failed would find the driver's code gone.
    let breeds = "
        static unsigned begun;
        static void *wait(void *none) { __atomic_fetch_add(&begun, 1, 5); for (;;) pause(); }
        int DriverEntry(void *driver, void *path) {
            char attributes[64]; unsigned long thread; unsigned count = 0;
            pthread_attr_init(attributes);
            pthread_attr_setstacksize(attributes, 16384L);
            while (count < 20000 && !pthread_create(&thread, attributes, wait, 0)) count++;
            while (__atomic_load_n(&begun, 5) < count) sched_yield();
            return 0xE0000000 | count;
        }";
    let output = Run::new("1+0").driver(&built.of("breeds", breeds)).output();
    let said = stderr(&output);
    let status = said.split("0xE0").nth(1).and_then(|rest| rest.get(..6));
    let status = status.unwrap_or_else(|| panic!("it says how many: {said}"));
    let count = u32::from_str_radix(status, 16).unwrap();
    assert!((4096..4608).contains(&count), "{count} threads");
}

#[test]
fn a_drivers_process_has_a_higher_oom_score_than_hotadd() {
    let built = Built::new();
    let live = Live::start(&["--add", "none", "--driver", &built.doing("idle", "")]);
    live.begins();
    let (host, _) = live.hosts().remove(0);
    let score = |pid: u32| -> i32 {
        fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().parse().unwrap()
    };
    assert!(
        score(host) > score(live.run.id()),
        "{} and hotadd's {}",
        score(host),
        score(live.run.id())
    );
    live.end();
}

#[test]
fn system_calls_of_the_allocator_never_end_a_driver() {
    let built = Built::new();
    // Several threads, whose heaps the C library trims.
    let allocates = "
        void *ExAllocatePool2(unsigned long long, unsigned long, unsigned); void ExFreePoolWithTag(void *, unsigned);
        void *malloc(unsigned long); void free(void *);
        static void *work(void *none) {
            for (int round = 0; round < 30; round++) {
                void *blocks[5];
                for (int i = 0; i < 5; i++) if (!(blocks[i] = ExAllocatePool2(0x40, 90000, 'Test'))) return blocks;
                for (int i = 0; i < 5; i++) ExFreePoolWithTag(blocks[i], 'Test');
                for (int i = 0; i < 5; i++) if (!(blocks[i] = malloc(90000))) return blocks;
                for (int i = 0; i < 5; i++) free(blocks[i]);
            }
            return 0;
        }
        int DriverEntry(void *driver, void *path) {
            unsigned long threads[4]; void *failed = work(0), *result;
            for (int i = 0; i < 4; i++) if (pthread_create(threads + i, 0, work, 0)) return 0xE0000001;
            for (int i = 0; i < 4; i++) if (pthread_join(threads[i], &result) || result) failed = threads;
            return failed ? 0xE0000002 : 0;
        }";
    let events = Run::new("1+0").driver(&built.of("allocates", allocates)).ends_well();
    assert!(of(&events, "fault").is_empty(), "{events:#?}");
}

#[test]
fn lookups_of_the_c_library_never_end_a_driver() {
    let built = Built::new();
    let does = r#"
        char *strerror(int); void *localtime(long *); void *malloc(unsigned long);
        static void *leave(void *none) { pthread_exit((void *)7); }
        static int order(const int *a, const int *b) { return *a - *b; }
        int DriverEntry(void *driver, void *path) {
            unsigned long thread; void *result; long now = 0; char text[64]; int wide[64];
            static int many[20000];
            for (int i = 0; i < 20000; i++) many[i] = 20000 - i;
            qsort(many, 20000L, 4L, order);
            if (many[0] != 1) return 0xE0000001;
            if (!strerror(2) || !localtime(&now)) return 0xE0000002;
            snprintf(text, 64L, "%f %ls", 1.5, L"wide");
            mbstowcs(wide, "text", 64L);
            if (pthread_create(&thread, 0, leave, 0) || pthread_join(thread, &result)) return 0xE0000003;
            return result == (void *)7 ? 0 : 0xE0000004;
        }"#;
    let output = output(&["run", "--simulate", "1+0", "--driver", &built.of("does", does)]);
    assert!(output.status.success(), "{}", stderr(&output));
}
