//! Python: dbus-fast (`examples/agent-asyncio.py`), GDBus (`examples/agent.py`), dasbus, and python-sdbus.

use std::path::PathBuf;
use std::process::Command;

use crate::common::terminal;
use crate::{Agent, address, at_hand, beside, example, fetched, partition, refuses_by_name};

/// The Python with the libraries that `./test` has fetched.
pub(crate) fn python() -> PathBuf {
    fetched("python/bin/python")
}

/// Whether a module is there. If not, reports that `test` is skipped.
pub(crate) fn has(mut python: Command, module: &str, name: &'static str, test: &str) -> bool {
    at_hand(python.arg("-c").arg(format!("import {module}")), name, test)
}

#[test]
fn an_agent_with_dbus_fast_refuses_by_name() {
    if !has(Command::new(python()), "dbus_fast", "dbus-fast", "an agent with dbus-fast") {
        return;
    }
    let mut agent = Command::new(python());
    agent.arg(example("agent-asyncio.py")).args(["demo", "--refuse", "1"]);
    refuses_by_name("dbus-fast", "agent-asyncio.py", agent);
}

#[test]
fn an_agent_with_gdbus_refuses_by_name() {
    // The binding is one of the distribution, and every test of agents needs it.
    let mut agent = terminal::python();
    agent.arg(example("agent.py")).args(["demo", "--refuse", "1"]);
    refuses_by_name("gdbus-python", "agent.py", agent);
}

/// Runs an agent beside this file that gets the address, and finds the partition by its name on the bus.
fn refuses_and_hears_signals(test: &str, name: &str, mut agent: Command) {
    let terminal = partition(test);
    agent.arg(beside(name)).arg(address(&terminal));
    let mut agent = Agent::start(&terminal, agent);
    let refused = terminal.hotadd(&["add", "1"]);
    let said = crate::stdout(&refused);
    let expected = format!("{name} refused to add processor 1: there is no room for processor 1");
    assert!(said.starts_with(&expected), "{said}");
    agent.says("AddStart 1: refused");
    let joined = terminal.hotadd(&["add", "2"]);
    assert_eq!(joined.status.code(), Some(0), "{}", crate::stderr(&joined));
    agent.says("AddComplete 2 at epoch");
    agent.says("signal Joined 2");
}

#[test]
fn an_agent_with_dasbus_refuses_by_name_and_hears_signals() {
    if has(terminal::python(), "dasbus", "dasbus", "an agent with dasbus") {
        refuses_and_hears_signals("dasbus", "agent_dasbus.py", terminal::python());
    }
}

#[test]
fn an_agent_with_python_sdbus_refuses_by_name_and_hears_signals() {
    if has(Command::new(python()), "sdbus", "sdbus", "an agent with python-sdbus") {
        refuses_and_hears_signals("sdbus", "agent_sdbus.py", Command::new(python()));
    }
}
