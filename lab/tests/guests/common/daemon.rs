//! `hotadd daemon` in a guest, and its parties.

use std::io::Write;
use std::time::Duration;

use lab::{Guest, Kernel, Lab};

use super::{cpu, lab, text};

/// Longer than any step takes in an emulated machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The socket of the daemon.
pub(crate) const SOCKET: &str = "/run/hotadd/system";

/// The file with the daemon's output.
pub(crate) const SAID: &str = "/tmp/daemon";

/// The options of a guest that has the daemon and agents.
pub(crate) fn with_daemon(kernel: Kernel) -> Lab {
    let both = lab(kernel).program("hotadd").unwrap();
    both.program("lab-agent").unwrap()
}

/// Starts the daemon with this configuration, and waits until it is ready. Returns its process id.
pub(crate) fn start(guest: &Guest, configuration: &str) -> u32 {
    let pid = begin(guest, configuration, &[]);
    until(guest, SAID, "listening at");
    pid
}

/// Starts the daemon with this configuration, in this environment. Returns its process id.
pub(crate) fn begin(guest: &Guest, configuration: &str, environment: &[&str]) -> u32 {
    guest.run(&["mkdir", "-p", "/etc/hotadd", "/run"]).unwrap();
    put(guest, configuration, "/etc/hotadd/hotadd.toml");
    let command: Vec<_> =
        ["env"].iter().chain(environment).chain(&["hotadd", "daemon"]).copied().collect();
    guest.start(&command, SAID).unwrap()
}

/// Writes a text into a file of the guest.
pub(crate) fn put(guest: &Guest, text: &str, path: &str) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    guest.run(&["rm", "-f", path]).unwrap();
    guest.put(file.path(), path).unwrap();
}

/// Starts an agent, and waits until it is registered. Returns its process id.
pub(crate) fn agent(guest: &Guest, name: &str, ways: &[&str]) -> u32 {
    let said = format!("/tmp/{name}");
    let mut command = vec!["lab-agent", SOCKET, name];
    command.extend(ways);
    let pid = guest.start(&command, &said).unwrap();
    until(guest, &said, &format!("{name} is registered"));
    pid
}

/// Waits for a line of this file that contains this text, and returns the line.
pub(crate) fn until(guest: &Guest, path: &str, part: &str) -> String {
    until_within(guest, path, part, LIMIT)
}

/// The same, for events that take longer.
pub(crate) fn until_within(guest: &Guest, path: &str, part: &str, limit: Duration) -> String {
    guest.line(path, part, limit).unwrap_or_else(|error| {
        let said = [path, SAID].map(|path| guest.read(path).unwrap_or_default());
        panic!("{part:?} is said: {error}\n{path}: {}\nthe daemon: {}", said[0], said[1])
    })
}

/// The state of a processor in the guest's sysfs.
pub(crate) fn online(guest: &Guest, id: usize) -> String {
    guest.read(&cpu(&format!("cpu{id}/online"))).unwrap().trim().to_owned()
}

/// The output of `hotadd` and its exit status.
pub(crate) fn hotadd(guest: &Guest, args: &[&str]) -> (String, Option<i32>) {
    let patience: &[&str] =
        if args.first() == Some(&"status") { &["--timeout", "60s"] } else { &[] };
    let command: Vec<_> = ["hotadd"].iter().chain(args).chain(patience).copied().collect();
    let ran = guest.run(&command).unwrap();
    (text(&ran.stdout) + &text(&ran.stderr), ran.status.code())
}

/// The calls of an agent about a processor, in order.
pub(crate) fn told(guest: &Guest, name: &str, id: u32) -> Vec<String> {
    let said = guest.read(&format!("/tmp/{name}")).unwrap();
    let lines = said.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    // Besides notices, the file has the agent's reactions: `refuses 3`.
    let of = |line: &&str| line.split(' ').nth(1) == Some(&id.to_string()) && line.contains(" as ");
    lines.filter(of).map(str::to_owned).collect()
}

/// The driver's process has only the rights that it needs, although the daemon is root.
pub(crate) fn is_sandboxed(guest: &Guest) {
    let found = guest.run(&["pgrep", "-f", "host --time-limit"]).unwrap();
    let pid = text(&found.stdout).trim().to_owned();
    let status = guest.read(&format!("/proc/{pid}/status")).unwrap();
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_else(|| panic!("{key} in {status}")).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(of("Uid:"), ["65534"; 4], "it runs as the user nobody");
    assert_eq!(of("CapEff:"), ["0000000000000000"], "it may nothing");
    assert_eq!(of("NoNewPrivs:"), ["1"], "and never will");
    assert_eq!(of("Seccomp:"), ["2"], "its system calls are limited");
}
