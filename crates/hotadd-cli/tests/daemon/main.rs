//! `hotadd daemon` over simulated processors. It adds a processor that appears if all parties agree. When it
//! ends it leaves only its state file.

#[path = "../common/mod.rs"]
mod common;
mod found;
mod kept_out;
mod lives;
mod logs;
mod missing;
mod reload;
mod stage;
mod trusted;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::live::LONG;
use common::{of, stderr, stdout};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use stage::{Daemon, Stage};

/// The refused events of this processor.
fn refusals(history: &[Value], id: u32) -> usize {
    of(history, "refused").iter().filter(|event| event["id"] == id).count()
}

#[test]
fn a1_a3_a_processor_that_appears_is_added_and_a_refused_one_waits_for_a_request() {
    let stage = Stage::simulated("simulate = '2+2'\nplug = '2-3'\nplug-every = '1ms'\n");
    // A program of the configuration. It agrees to every processor but 3.
    let refuses = "case \"$1 $HOTADD_ID\" in 'add-start 3') echo no room; exit 1;; esac";
    let script = stage.script("careful", refuses);
    let mut config = fs::read_to_string(stage.path("hotadd.toml")).unwrap();
    config += &format!("[[party]]\ndriver = 'exec:{script}'\n");
    fs::write(stage.path("hotadd.toml"), config).unwrap();

    let mut daemon = stage.start();
    let begins = daemon.until("simulated processors (not real): 0-1 are active");
    assert!(begins.ends_with("run/try"), "the line names the socket: {begins}");
    daemon.until("processor 2 appeared");
    let joined = daemon.until("processor 2 joined");
    assert!(joined.contains("agreed: careful"), "the verdict is a line with who agreed: {joined}");
    let refused = daemon.until("processor 3 stays out: careful refused: ");
    assert!(refused.contains("A3"), "the verdict is a line with who and why: {refused}");

    let status = daemon.ask(&["status"]);
    assert!(
        stdout(&status).contains("careful"),
        "status says who is registered: {}",
        stdout(&status)
    );
    let history = daemon.history();
    let last = of(&history, "refused");
    assert_eq!((last[0]["driver"].as_str(), last[0]["id"].as_u64()), (Some("careful"), Some(3)));
    // The refused processor is not tried again, and the removed one is not brought back, whatever else happens.
    assert!(daemon.ask(&["remove", "2"]).status.success());
    assert_eq!(daemon.ask(&["rehearse", "3"]).status.code(), Some(1));
    assert_eq!(refusals(&daemon.history(), 3), 1, "one refusal, and no second try");
    assert_eq!(of(&daemon.history(), "joined").len(), 1, "a removed processor stays off");
    let again = daemon.ask(&["add", "3"]);
    assert_eq!(
        again.status.code(),
        Some(1),
        "an explicit request tries again and is refused again"
    );
    assert!(stdout(&again).contains("careful refused to add processor 3"), "{}", stdout(&again));
    assert_eq!(refusals(&daemon.history(), 3), 2);
    assert!(daemon.ask(&["add", "2"]).status.success());
    let parties = daemon.ask(&["parties"]);
    let parties = format!("{}{}", stdout(&parties), stderr(&parties));
    assert!(parties.starts_with("careful"), "{parties}");
    daemon.end(Signal::TERM);
}

#[test]
fn processors_that_are_off_at_the_start_are_added_unless_configured_otherwise() {
    let keys = "simulate = '1+2'\nplug = '2'\nplug-every = '1ms'\nat-start = 'leave'\n";
    let mut daemon = Stage::simulated(keys).start();
    daemon.until("processor 2 joined");
    assert_eq!(
        refusals(&daemon.history(), 1) + of(&daemon.history(), "joined").len(),
        1,
        "1 was off, and stays off"
    );
    daemon.end(Signal::TERM);

    for at_start in ["", "at-start = 'undecided'\n", "at-start = 'add'\n"] {
        let keys = format!("simulate = '1+2,fail-start=2'\n{at_start}");
        let mut daemon = Stage::simulated(&keys).start();
        daemon.until("processor 1 joined");
        let failed = daemon.until("processor 2 stays out");
        assert!(failed.contains("EIO") && failed.contains("A4"), "{failed}");
        daemon.end(Signal::TERM);
    }
}

#[test]
fn a_signal_ends_the_daemon_and_its_processors_stay_active() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon =
            Stage::simulated("simulate = '2+1'\n[[party]]\ndriver = 'sample:isolated'").start();
        daemon.until("processor 2 joined");
        let output = daemon.end(signal);
        assert_eq!(output.last().unwrap(), "ended; processors 0-2 stay active", "{signal:?}");
        assert!(
            !output.iter().any(|line| line.contains("left")),
            "{signal:?} removed one: {output:#?}"
        );
    }
}

/// The next message to the service manager.
fn notification(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 512];
    let length = loop {
        match socket.recv(&mut bytes) {
            // A wait with a time limit ends so if the process was stopped and continued meanwhile (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            length => break length.expect("a message to the service manager"),
        }
    };
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[test]
fn the_daemon_notifies_the_service_manager_at_path_and_abstract_sockets() {
    let name = format!("hotadd-daemon-{}", std::process::id());
    for abstract_name in [false, true] {
        let stage = Stage::simulated("");
        let mut command = stage.command();
        let socket = if abstract_name {
            command.env("NOTIFY_SOCKET", format!("@{name}"));
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap()
        } else {
            command.env("NOTIFY_SOCKET", stage.path("notify"));
            UnixDatagram::bind(stage.path("notify")).unwrap()
        };
        socket.set_read_timeout(Some(LONG)).unwrap();
        let notification = || notification(&socket);
        command.env("WATCHDOG_USEC", "20000");
        let daemon = Daemon::start(stage, command);
        // The watchdog may notify before all parties have registered.
        let first = std::iter::repeat_with(notification).find(|word| word != "WATCHDOG=1");
        let first = first.unwrap_or_default();
        assert!(first.starts_with("READY=1\nSTATUS=processors 0-3 are active"), "{first}");
        let listens = fs::exists(daemon.stage.path("run/try")).unwrap();
        assert!(listens, "READY is sent only when the socket listens");
        assert_eq!(
            [notification(), notification()],
            ["WATCHDOG=1", "WATCHDOG=1"],
            "the watchdog is notified repeatedly"
        );
        let last = std::thread::scope(|scope| {
            // The socket must be read, or the daemon blocks when it is full.
            let last = scope
                .spawn(|| std::iter::repeat_with(notification).find(|word| word != "WATCHDOG=1"));
            daemon.end(Signal::TERM);
            last.join().unwrap()
        });
        assert_eq!(last.as_deref(), Some("STOPPING=1"));
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv(&mut [0; 64]).is_err(), "nothing follows STOPPING");
    }
}

#[test]
fn the_watchdog_is_notified_while_a_party_is_slow() {
    let stage = Stage::simulated("");
    let waits =
        "[ \"$1 $HOTADD_ID\" != 'add-start 4' ] && exit; until [ -e $stage/go ]; do :; done";
    let script = stage.script("slow", waits);
    stage.write(&format!(
        "[hardware]\nkind = 'simulated'\nsimulate = '4+1'\n[[party]]\ndriver = 'exec:{script},timeout=600000'\n"
    ));
    let socket = UnixDatagram::bind(stage.path("notify")).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut command = stage.command();
    // Each thread has a quarter of this, one second, to answer. That is enough on a machine with a load of 14.
    command.env("NOTIFY_SOCKET", stage.path("notify")).env("WATCHDOG_USEC", "4000000");
    let mut daemon = Daemon::start(stage.clone(), command);
    // The socket must be read, or the daemon blocks when it is full.
    let drain = || while socket.recv(&mut [0; 512]).is_ok() {};
    socket.set_nonblocking(true).unwrap();
    common::live::comes_true("it is being asked", || {
        drain();
        stdout(&daemon.ask(&["status"])).contains("waiting for slow")
    });
    drain();
    socket.set_nonblocking(false).unwrap();
    assert_eq!(
        [notification(&socket), notification(&socket)],
        ["WATCHDOG=1", "WATCHDOG=1"],
        "no thread is stuck"
    );
    fs::write(stage.path("go"), "").unwrap();
    daemon.until("processor 4 joined");
    let output = daemon.end(Signal::TERM);
    assert!(!output.iter().any(|line| line.contains("stuck")), "{output:#?}");
}

#[test]
fn log_lines_have_priorities_only_in_the_journal() {
    for journal in [true, false] {
        let stage = Stage::simulated("simulate = '1+2,fail-start=2'\n");
        let file = File::create(stage.path("said")).unwrap();
        let found = file.metadata().unwrap();
        let inode = found.ino() + u64::from(!journal);
        let mut command = stage.command();
        // Without a format, a journal that runs on this machine would record the line.
        command.args(["--log-format", "text"]);
        command.env("JOURNAL_STREAM", format!("{}:{inode}", found.dev())).stderr(file);
        let mut process = command.spawn().unwrap();
        let output = || fs::read_to_string(stage.path("said")).unwrap();
        common::live::comes_true("the second verdict", || {
            output().contains("processor 2 stays out")
        });
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        assert!(process.wait().unwrap().success());
        let lines = output();
        let begins = |words: &str| lines.lines().any(|line| line.starts_with(words));
        assert_eq!(begins("<5>processor 1 joined"), journal, "{lines}");
        assert_eq!(begins("<4>processor 2 stays out"), journal, "{lines}");
        assert_eq!(
            begins("processor 1 joined"),
            !journal,
            "JOURNAL_STREAM names another stderr: {lines}"
        );
    }
}

#[test]
fn an_invalid_configuration_is_reported_with_file_line_and_key() {
    let cases = [
        (
            "[hardware]\npolicy = 'revok'\n",
            "2: hardware.policy: unknown variant `revok`, expected `report` or `revoke`",
        ),
        ("[limits]\n\ntimeout = '5'\n", "3: limits.timeout: "),
        ("[[party]]\ndriver = 'smaple'\n", "2: party[0].driver: there is no driver \"smaple\""),
        ("[hardware\n", "1: "),
    ];
    for (config, says) in cases {
        let stage = Stage::new(config);
        let says = format!("{}:{says}", stage.path("hotadd.toml"));
        let begun = stage.fails();
        assert_eq!(begun.status.code(), Some(2), "{config:?}");
        assert!(stderr(&begun).starts_with(&format!("hotadd: {says}")), "{}", stderr(&begun));
        let checked = common::output(&["config", "check", &stage.path("hotadd.toml")]);
        assert_eq!(checked.status.code(), Some(1), "{config:?}");
        assert!(stderr(&checked).starts_with(&says), "{}", stderr(&checked));
        assert!(!fs::exists(stage.path("run")).unwrap(), "nothing began");
    }
    let good = Stage::simulated("").path("hotadd.toml");
    let missing = common::output(&["config", "check", &good]);
    assert_eq!(missing.status.code(), Some(1), "its folder is gone");
    assert!(stderr(&missing).contains("cannot be read"), "{}", stderr(&missing));
    let endless = common::output(&["config", "check", "/dev/zero"]);
    assert!(stderr(&endless).contains("/dev/zero is not a regular file"), "{}", stderr(&endless));
    let stage = Stage::simulated("");
    let checked = common::output(&["config", "check", &stage.path("hotadd.toml")]);
    assert_eq!((checked.status.code(), stdout(&checked).ends_with(": ok\n")), (Some(0), true));
}

#[test]
fn the_check_finds_what_keeps_the_daemon_from_beginning_and_calls_no_party() {
    // A file that does not exist, and one that is not a driver.
    for (driver, says) in [
        ("exec:/nowhere/at-all", "party[0].driver: /nowhere/at-all does not exist"),
        ("/nowhere/at-all.sys", "party[0].driver: /nowhere/at-all.sys: it cannot be read"),
        ("/proc/version,name=x", "party[0].driver: "),
    ] {
        let stage = Stage::simulated(&format!("[[party]]\ndriver = '{driver}'\n"));
        let checked = common::output(&["config", "check", &stage.path("hotadd.toml")]);
        let output = stderr(&checked);
        assert_eq!(checked.status.code(), Some(1), "{driver}: {output}{}", stdout(&checked));
        assert!(output.contains(says), "{driver}: {output}");
    }
    // A folder that every user may write to.
    let stage = Stage::simulated("");
    let script = stage.script("heard", "echo called >>$(dirname $0)/called");
    stage.write(&format!(
        "[hardware]\nkind = 'simulated'\nsimulate = '1+1'\n[[party]]\ndriver = 'exec:{script}'\n"
    ));
    fs::create_dir_all(stage.path("run")).unwrap();
    fs::set_permissions(stage.path("run"), fs::Permissions::from_mode(0o777)).unwrap();
    let checked = common::output(&["config", "check", &stage.path("hotadd.toml")]);
    let (output, begun) = (stderr(&checked), stage.fails());
    assert_eq!(checked.status.code(), Some(1), "{output}{}", stdout(&checked));
    assert!(output.contains("service.socket: every user may write to "), "{output}");
    assert!(stderr(&begun).contains("every user may write to "), "{}", stderr(&begun));
    assert!(
        !fs::exists(stage.path("called")).unwrap(),
        "a daemon that cannot begin calls no party"
    );
}

#[test]
fn r4_a_skippable_party_that_refuses_to_register_keeps_the_daemon_from_beginning() {
    let stage = Stage::simulated("[[party]]\ndriver = 'sample:veto=1'\nwhen-missing = 'skip'\n");
    let failed = stage.fails();
    assert_eq!(
        failed.status.code(),
        Some(1),
        "R4: the daemon must not run without a configured party"
    );
    assert!(stderr(&failed).contains("sample refused processor 1"), "{}", stderr(&failed));
}

#[test]
fn a_second_daemon_on_the_same_socket_is_refused() {
    let mut daemon = Stage::simulated("").start();
    daemon.until("simulated processors");
    let second = daemon.stage.fails();
    assert_eq!(second.status.code(), Some(1));
    assert!(
        stderr(&second).contains("a partition named try is already running"),
        "{}",
        stderr(&second)
    );
    assert!(daemon.ask(&["status"]).status.success(), "the first daemon still answers");
    daemon.end(Signal::TERM);
}

#[test]
fn a_daemon_for_the_machine_requires_root() {
    let stage = Stage::new("");
    let mut command = stage.command();
    if rustix::process::geteuid().is_root() {
        // The folder is closed to other users, so the program and its configuration are copied to an open one.
        let program = stage.path("hotadd");
        fs::copy(env!("CARGO_BIN_EXE_hotadd"), &program).unwrap();
        fs::set_permissions(stage.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command = Command::new(program);
        command.args(["daemon", "--config", &stage.path("hotadd.toml")]).uid(65534).gid(65534);
    }
    let failed = command.output().unwrap();
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    assert!(
        stderr(&failed).contains("starting and stopping this machine's processors needs root"),
        "{}",
        stderr(&failed)
    );
}

#[test]
fn r2_q5_a_configured_party_with_later_gets_no_replay() {
    let stage = Stage::simulated("simulate = '1+1'\n");
    let mut config = fs::read_to_string(stage.path("hotadd.toml")).unwrap();
    for (name, option) in [("later", ",later"), ("all", "")] {
        let script =
            stage.script(name, &format!("echo \"$1 $2 $HOTADD_REPLAY\" >>$stage/{name}.heard"));
        config += &format!("[[party]]\ndriver = 'exec:{script}{option}'\n");
    }
    fs::write(stage.path("hotadd.toml"), config).unwrap();
    let heard = ["later.heard", "all.heard"].map(|name| stage.path(name));
    let mut daemon = stage.start();
    daemon.until("processor 1 joined");
    let [later, all] = heard.map(|path| fs::read_to_string(path).unwrap());
    let live = "add-start 1 0\nadd-complete 1 0\n";
    assert_eq!(later, live);
    assert_eq!(all, format!("add-start 0 1\nadd-complete 0 1\n{live}"));
}
