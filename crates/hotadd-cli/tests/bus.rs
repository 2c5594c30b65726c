//! A partition on a message bus, used as a new user would: a command on the bus, an agent in Python, and
//! requests over the bus. The test starts its own bus.

mod common;
#[path = "../../hotadd-service/tests/common/daemon.rs"]
mod daemon;

use common::terminal::{Agent, Terminal};
use common::{hotadd, stderr, stdout};
use daemon::Daemon;

#[test]
fn an_agent_on_a_bus_refuses_and_when_it_is_killed_the_next_add_works() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let address = daemon.address.clone();
    let mut on_the_bus = hotadd(&[]);
    on_the_bus.env("DBUS_SESSION_BUS_ADDRESS", &address);
    let args = ["--bus", "session", "--simulate", "1+3", "--", "cat"];
    let mut terminal = Terminal::start_by("bus", on_the_bus, &args);
    terminal.session = Some(address.clone());
    let ask = |args: &[&str]| hotadd(&[args, &["--bus", &address]].concat()).output().unwrap();

    let agent = Agent::start(&terminal, &["--bus", "session", "--refuse", "1"]);
    let refused = ask(&["add", "1"]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    let said = stdout(&refused);
    assert!(said.contains("agent.py refused to add processor 1: there is no room"), "{said}");
    let joined = terminal.hotadd(&["add", "2", "--bus", "session"]);
    assert_eq!(joined.status.code(), Some(0), "{}", stderr(&joined));
    let status = stdout(&ask(&["status", "-p", "demo"]));
    assert!(status.contains("active: 0,2"), "the partition is also found by its name: {status}");
    assert!(status.contains("agent.py (#1, level 0, in another process)"), "{status}");
    let over_socket = stdout(&terminal.hotadd(&["status"]));
    assert_eq!(over_socket, status, "the same partition is on the socket");
    drop(agent);
    assert_eq!(terminal.event("deregistered")["driver"], "agent.py");

    // An agent that is slow to answer is killed in the middle of an add (L3).
    let mut slow = Agent::start(&terminal, &["--bus", &address, "--delay", "600"]);
    let add = {
        let address = address.clone();
        std::thread::spawn(move || hotadd(&["add", "1", "--bus", &address]).output().unwrap())
    };
    slow.until("asked about 1");
    slow.kill();
    let refused = add.join().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = stdout(&refused);
    assert!(said.contains("agent.py") && said.contains("its connection to the bus"), "{said}");
    let joined = ask(&["add", "1"]);
    assert_eq!(joined.status.code(), Some(0), "{}", stderr(&joined));

    let nobody = ask(&["status", "-p", "nobody"]);
    assert_eq!(nobody.status.code(), Some(3), "{}", stderr(&nobody));
    // The agents of a bus that has ended are deregistered; the run and its socket stay.
    let mut left = Agent::start(&terminal, &["--bus", &address]);
    daemon.kill();
    left.process.wait().unwrap();
    assert_eq!(terminal.event("deregistered")["driver"], "agent.py");
    let joined = terminal.hotadd(&["add", "3"]);
    assert_eq!(joined.status.code(), Some(0), "{}", stderr(&joined));
}

#[test]
fn an_unnamed_partition_on_a_bus_and_an_invalid_bus_are_refused() {
    for args in [&["run", "--bus", "session", "--simulate", "1+1"][..], &["status", "--bus", "x"]] {
        let output = hotadd(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
    }
    let dir = tempfile::tempdir().unwrap();
    let args =
        ["run", "--name", "demo", "--bus", "unix:path=/nonexistent/bus", "--simulate", "1+1"];
    let output = hotadd(&args).env("XDG_RUNTIME_DIR", dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("the bus at unix:path=/nonexistent/bus"),
        "the message names the bus"
    );
}
