//! What the sandbox forbids to a driver's process.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::built::{Built, Form, Run};
use crate::common::live::{Live, children_of, comes_true};
use crate::common::{of, output, stderr};

/// Checks that a driver that does this is ended, and why.
fn forbidden(what: &str, call: &str) {
    let built = Built::new();
    let driver = built.doing("reaches", what);
    let output = output(&["run", "--simulate", "1+1", "--json", "--driver", &driver]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{what}: {said}");
    let expected = format!(
        "reaches.so is not loaded: makes the system call {call}, which its sandbox forbids"
    );
    assert!(said.contains(&expected), "{what}: {said}");
    // The C library changes the user of all threads, and the driver's thread need not be the first.
    let placed = said.contains(", at reaches.so+0x");
    assert!(placed || call == "setuid", "{what}: the message has the address: {said}");
}

#[test]
fn a_driver_cannot_open_a_file() {
    forbidden("open(\"/etc/passwd\", 0);", "openat");
}

/// The same in a constructor, which runs before DriverEntry.
fn forbidden_to_constructors(what: &str, call: &str) {
    let built = Built::new();
    let text = format!(
        "__attribute__((constructor)) static void first(void) {{ {what} __asm__(\"\"); }} int DriverEntry(void *driver, void *path) {{ return 0; }}"
    );
    let driver = built.of("begins", &text);
    let output = output(&["run", "--simulate", "1+1", "--json", "--driver", &driver]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{what}: {said}");
    let expected = format!(
        "begins.so is not loaded: makes the system call {call}, which its sandbox forbids, at begins.so+0x"
    );
    assert!(said.contains(&expected), "{what}: {said}");
}

#[test]
fn a_drivers_constructors_are_sandboxed_like_the_driver() {
    forbidden_to_constructors("open(\"/etc/passwd\", 0);", "openat");
    let memory = "char path[64]; sprintf(path, \"/proc/%d/mem\", 1); open(path, 2);";
    forbidden_to_constructors(memory, "openat");
    forbidden_to_constructors("ptrace(16, 1, 0, 0);", "ptrace");
    forbidden_to_constructors("socket(2, 1, 0);", "socket");
    forbidden_to_constructors("fork();", "clone");
    forbidden_to_constructors("creat(\"/tmp/hotadd-was-here\", 0600);", "creat");
}

#[test]
fn a_drivers_constructors_and_destructors_run_in_order() {
    let built = Built::new();
    let text = r#"
        int DbgPrint(const char *, ...);
        struct driver { char before[0x68]; void (*unload)(void *); };
        __attribute__((constructor(101))) static void first(void) { DbgPrint("first\n"); }
        __attribute__((constructor(102))) static void second(void) { DbgPrint("second\n"); }
        __attribute__((destructor(101))) static void last(void) { DbgPrint("last\n"); }
        __attribute__((destructor(102))) static void before(void) { DbgPrint("before last\n"); }
        static void unload(void *driver) { DbgPrint("unload\n"); }
        int DriverEntry(struct driver *driver, void *path) { DbgPrint("entry\n"); driver->unload = unload; return 0; }"#;
    let events = Run::new("1+0").driver(&built.of("order", text)).ends_well();
    let said: Vec<_> = of(&events, "said").iter().map(|event| event["text"].clone()).collect();
    assert_eq!(said, ["first", "second", "entry", "unload", "before last", "last"], "{events:#?}");
}

#[test]
fn a_drivers_code_does_not_run_while_it_is_loaded() {
    let built = Built::new();
    let chosen = "static int one(void) { return 1; } static int (*choose(void))(void) { return one; } int chosen(void) __attribute__((ifunc(\"choose\"))); int DriverEntry(void *driver, void *path) { return chosen() - 1; }";
    let driver = built.of("chooses", chosen);
    let output = output(&["run", "--simulate", "1+0", "--driver", &driver]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("ifunc"), "{}", stderr(&output));
}

/// The memory files of a dumpable process belong to its user, those of another process to root.
#[test]
fn processes_that_host_a_driver_are_not_dumpable() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    /// Runs as a user other than root, because root sees no difference.
    const ANYBODY: u32 = 64_321;
    let built = Built::new();
    let driver = built.doing("idle", "");
    // In a folder where every user can run it.
    let program = built.folder().join("hotadd");
    fs::copy(env!("CARGO_BIN_EXE_hotadd"), &program).unwrap();
    for path in [built.folder(), &program, Path::new(&driver)] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(&program);
    if rustix::process::geteuid().is_root() {
        command.uid(ANYBODY).gid(ANYBODY);
    }
    command.args(["run", "--simulate", "1+0", "--driver", &driver, "--", "cat"]);
    let mut run = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let hosts = || children_of(run.id()).into_iter().filter(|(_, words)| words.contains(" host "));
    let started = || children_of(run.id()).iter().any(|(_, words)| words == "cat");
    comes_true("the command runs", started);
    let pids = hosts().map(|(pid, _)| (pid, "the driver's")).chain([(run.id(), "hotadd's")]);
    let owners: Vec<_> = pids
        .map(|(pid, whose)| (whose, fs::metadata(format!("/proc/{pid}/mem")).unwrap().uid()))
        .collect();
    drop(run.stdin.take());
    assert!(run.wait().unwrap().success());
    assert_eq!(owners, [("the driver's", 0), ("hotadd's", 0)], "the owner of the memory files");
}

#[test]
fn a_driver_cannot_open_a_socket() {
    forbidden("socket(2, 1, 0);", "socket");
}

#[test]
fn a_driver_cannot_run_a_program() {
    forbidden("char *words[] = { \"sh\", 0 }; execve(\"/bin/sh\", words, words + 1);", "execve");
}

#[test]
fn a_driver_cannot_create_a_process() {
    forbidden("fork();", "clone");
}

#[test]
fn a_driver_cannot_signal_another_process() {
    forbidden("kill(1, 0);", "kill");
    forbidden("kill(0, 15);", "kill");
}

#[test]
fn a_driver_cannot_change_its_user() {
    forbidden("setuid(0);", "setuid");
}

#[test]
fn a_driver_cannot_trace_a_process() {
    forbidden("ptrace(16, 1, 0, 0);", "ptrace");
}

#[test]
fn a_driver_cannot_create_executable_memory() {
    forbidden("char *mmap(); mmap(0, 4096, 7, 0x22, -1, 0L);", "mmap");
    forbidden("mprotect((long)DriverEntry & -4096L, 4096, 7);", "mprotect");
}

#[test]
fn a_driver_cannot_change_the_affinity_of_another_process() {
    forbidden("long mask = 1; sched_setaffinity(getppid(), 8, &mask);", "getppid");
    forbidden("long mask = 1; sched_setaffinity(1, 8, &mask);", "sched_setaffinity");
}

#[test]
fn a_driver_cannot_change_its_limits() {
    forbidden("long limit[2] = { -1, -1 }; setrlimit(9, limit);", "prlimit64");
}

#[test]
fn a_driver_may_make_the_calls_that_it_needs() {
    let built = Built::new();
    let driver = built.doing(
        "behaves",
        r#"
        char *malloc(), *block = malloc(100000000L); if (!block) return 0xE0000001; block[99999999] = 1;
        kill(getpid(), 0);
        long mask; if (sched_getaffinity(0, 8, &mask) < 0) return 0xE0000002;
        if (sched_setaffinity(0, 8, &mask) < 0) return 0xE0000003;
        long time[2] = { 0, 1 }; if (nanosleep(time, 0) < 0) return 0xE0000004;
        "#,
    );
    let output = output(&["run", "--simulate", "1+0", "--driver", &driver]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_drivers_process_opens_no_file_for_many_threads() {
    // Each processor has a thread that runs DPCs.
    let percpu = Form::Sys.sample("percpu");
    let events = Run::new("24+24").driver(&percpu.path).ends_well();
    assert!(of(&events, "fault").is_empty(), "{events:#?}");
    assert_eq!(of(&events, "joined").len(), 24);
}

#[test]
fn no_thread_of_a_drivers_process_has_privileges() {
    let built = Built::new();
    let driver = built.doing("idle", "");
    let live = Live::start(&["--add", "none", "--driver", &driver]);
    live.begins();
    let (pid, _) = live.hosts().remove(0);
    let root = rustix::process::geteuid().is_root();
    // A thread may end while its status is read, and on a loaded machine the second one may start late.
    let mut threads = Vec::new();
    comes_true("callbacks run on a thread other than the first", || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let status =
            |task: io::Result<DirEntry>| fs::read_to_string(task.ok()?.path().join("status")).ok();
        threads = tasks.filter_map(status).collect();
        threads.len() > 1
    });
    for status in threads {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
        };
        assert_eq!(field("NoNewPrivs:"), "1", "{status}");
        assert_eq!(field("Seccomp:"), "2", "a seccomp filter is active: {status}");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{set} {status}");
        }
        if root {
            assert_eq!(field("Uid:"), "65534\t65534\t65534\t65534");
            assert_eq!(field("Gid:"), "65534\t65534\t65534\t65534");
            assert_eq!(field("Groups:"), "");
        }
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    for name in ["Max core file size", "Max file size"] {
        let limit = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        assert!(limit.trim_start().starts_with("0 "), "{name}: {limit}");
    }
    live.end();
}

#[test]
fn a_drivers_process_has_only_its_own_descriptors() {
    let built = Built::new();
    let driver = built.doing("idle", "");
    let live = Live::start(&["--add", "none", "--driver", &driver]);
    live.begins();
    let (pid, _) = live.hosts().remove(0);
    let left_open: Vec<_> = fs::read_dir(format!("/proc/{}/fd", live.run.id()))
        .unwrap()
        .filter_map(|fd| Some(fs::read_link(fd.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    let links = fs::read_dir(format!("/proc/{pid}/fd"));
    let Ok(links) = links else {
        // Only root can list it otherwise, because the process is not dumpable.
        assert!(!rustix::process::geteuid().is_root());
        live.end();
        return;
    };
    let links = links.map(|fd| fs::read_link(fd.unwrap().path()).unwrap());
    let others: Vec<_> = links
        .map(|to| to.to_string_lossy().into_owned())
        .filter(|to| !to.starts_with("socket:") && !to.starts_with("anon_inode:"))
        .filter(|to| to != "/dev/null" && !to.contains("/memfd:idle.so"))
        .collect();
    // Descriptors that the caller of this test left inheritable do not matter; cargo and others leave some.
    let left = |to: &String| left_open.contains(to);
    assert!(others.iter().all(left), "descriptors other than stderr: {others:?}");
    live.end();
}
