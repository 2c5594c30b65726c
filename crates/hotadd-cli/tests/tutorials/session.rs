//! A reader who follows a tutorial in a new folder, with a terminal for each command that keeps running.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::page::{Shown, Step};

/// Far longer than any step takes.
const LONG: Duration = Duration::from_secs(120);

/// A command that keeps running, and its lines that no step has shown yet.
struct Terminal {
    child: Child,
    lines: Receiver<String>,
    unread: Vec<String>,
}

impl Terminal {
    fn start(mut command: Command) -> Self {
        let mut child = command.process_group(0).stdout(Stdio::piped()).spawn().expect("a shell");
        let printed = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        thread::spawn(move || {
            printed.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Self { child, lines, unread: Vec::new() }
    }

    /// Waits until the command has printed this line.
    fn until(&mut self, line: &str) {
        let deadline = Instant::now() + LONG;
        loop {
            if let Some(at) = self.unread.iter().position(|seen| matches(line, seen)) {
                self.unread.remove(at);
                return;
            }
            let next = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let next =
                next.unwrap_or_else(|why| panic!("{why}: {line:?} is not in {:#?}", self.unread));
            self.unread.push(next);
        }
    }

    /// Not by SIGINT: a shell that starts tests in the background has it ignored.
    fn end(mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::TERM);
        self.child.wait().expect("it ends");
    }
}

/// Where this repository is.
pub(crate) fn repository() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    path.canonicalize().expect("the repository")
}

/// The reader's folder and terminals.
pub(crate) struct Session {
    folder: tempfile::TempDir,
    at: PathBuf,
    terminals: BTreeMap<String, Terminal>,
}

impl Session {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in ["bin", "home", "run", "work"] {
            fs::DirBuilder::new().mode(0o700).create(path.join(name)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_hotadd"), path.join("bin/hotadd")).unwrap();
        Self { at: path.join("work"), folder, terminals: BTreeMap::new() }
    }

    fn shell(&self, command: &str) -> Command {
        let root = self.folder.path();
        let path =
            format!("{}:{}", root.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("exec 2>&1; {command}")])
            .current_dir(&self.at)
            .stdin(Stdio::null());
        shell
            .env("PATH", path)
            .env("HOME", root.join("home"))
            .env("XDG_RUNTIME_DIR", root.join("run"));
        // cargo and rustup have their folders where this test's have them.
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if let (None, Some(home)) = (std::env::var_os(name), std::env::var_os("HOME")) {
                shell.env(name, Path::new(&home).join(folder));
            }
        }
        // Flags of the outer build, such as a sanitizer's, must not apply.
        shell.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("NO_COLOR");
        shell
    }

    /// Puts a command on the reader's path.
    pub(crate) fn has(&self, name: &str, script: &str) {
        let path = self.folder.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Puts the clone of the repository beside the reader's folder.
    pub(crate) fn has_the_repository(&self) {
        symlink(repository(), self.folder.path().join("hotadd")).unwrap();
    }

    fn run(&mut self, shown: &Shown) {
        let Shown { command, status, printed } = shown;
        if let Some(folder) = command.strip_prefix("cd ") {
            self.at.push(folder);
            return;
        }
        let output = self.shell(command).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(*status), "{command}: {said}");
        let mut said: Vec<&str> = said.lines().collect();
        let all = said.join("\n");
        for line in printed.iter().filter(|line| *line != "…") {
            let at = said.iter().position(|seen| matches(line, seen));
            let at = at.unwrap_or_else(|| panic!("{command} does not print {line:?}, but:\n{all}"));
            said.remove(at);
        }
        let more = printed.iter().any(|line| line == "…");
        assert!(more || said.is_empty(), "{command} also prints {said:#?}, of:\n{all}");
    }

    fn keep_running(&mut self, number: &str, shown: &Shown) {
        let terminal = Terminal::start(self.shell(&format!("exec {}", shown.command)));
        assert!(
            self.terminals.insert(number.to_owned(), terminal).is_none(),
            "terminal {number} is free"
        );
        self.show(number, &shown.printed);
        // The next command may ask the partition that this one serves.
        let name =
            shown.command.split_once("--name ").map(|(_, rest)| rest.split(' ').next().unwrap());
        if let Some(name) = name.filter(|_| shown.command.starts_with("hotadd run ")) {
            let socket = self.folder.path().join("run/hotadd").join(name);
            let deadline = Instant::now() + LONG;
            while !socket.exists() {
                assert!(Instant::now() < deadline, "{}: it does not listen", shown.command);
                // The pause only leaves the processor to those that are waited for.
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn show(&mut self, number: &str, printed: &[String]) {
        let terminal = self.terminals.get_mut(number).expect("a command runs there");
        printed.iter().filter(|line| *line != "…").for_each(|line| terminal.until(line));
    }

    /// Does a step of this page.
    pub(crate) fn follow(&mut self, page: &str, step: Step) {
        match step {
            Step::File { name, text } => fs::write(self.at.join(name), text).unwrap(),
            Step::Edit { name, old, new } => {
                let path = self.at.join(&name);
                let text = fs::read_to_string(&path).unwrap();
                assert_eq!(text.matches(&old).count(), 1, "{name} has this once:\n{old}");
                fs::write(path, text.replace(&old, &new)).unwrap();
            }
            Step::Run(commands) => commands.iter().for_each(|shown| self.run(shown)),
            Step::Terminal { number, interrupts, mut commands, printed } => {
                if interrupts {
                    let terminal = self.terminals.remove(&number).expect("a command runs there");
                    terminal.end();
                }
                if !printed.is_empty() {
                    self.show(&number, &printed);
                }
                let last = commands.pop();
                commands.iter().for_each(|shown| self.run(shown));
                if let Some(last) = last {
                    self.keep_running(&number, &last);
                }
            }
            Step::Elsewhere { test, commands } => is_run_by(&test, page, &commands),
            Step::Part { name, text } => {
                let file = fs::read_to_string(repository().join(&name)).unwrap();
                assert_eq!(file.matches(&text).count(), 1, "{name} has this once:\n{text}");
            }
            Step::Untested(_) => {}
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Partitions last: an agent is no longer asked when its partition ends.
        while let Some((_, terminal)) = self.terminals.pop_last() {
            terminal.end();
        }
    }
}

/// Fails unless a test reads this page, or has the words of these commands, one after the other.
fn is_run_by(test: &str, page: &str, commands: &[String]) {
    let source =
        fs::read_to_string(repository().join(test)).unwrap_or_else(|why| panic!("{test}: {why}"));
    if source.contains(&format!("/docs/{page}\")")) {
        return;
    }
    assert!(!commands.is_empty(), "{test} does not read {page}");
    for command in commands {
        let command = command.trim_start_matches("sudo ");
        let words: Vec<&str> = command.split(' ').collect();
        let quoted = format!("\"{}\"", words.join("\", \""));
        let without_hotadd = format!("[\"{}\"]", words[1..].join("\", \""));
        let forms = [command, &quoted, &without_hotadd];
        assert!(forms.iter().any(|form| source.contains(form)), "{test} does not run: {command}");
    }
}

/// Whether a line is as it is shown: `…` is any text, and times differ.
fn matches(shown: &str, line: &str) -> bool {
    let (shown, line) = (timeless(shown), timeless(line));
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// A line without times: `in 0.41 ms` becomes `in some ms`.
fn timeless(line: &str) -> String {
    let is_time = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.contains('.')
            && word.parse::<f64>().is_ok()
    };
    let words = line.split(' ').map(|word| if is_time(word) { "some" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_shown_line_is_compared_in_all_but_its_times() {
    assert!(matches("joined in 1.29 ms", "joined in 15.4 ms"));
    assert!(!matches("joined in 1.29 ms", "joined in 15.4 s"));
    assert!(matches("a … z", "a b c z") && matches("… z", "a z") && matches("a …", "a z"));
    assert!(!matches("a … z", "a b") && !matches("a", "a b") && !matches("a … y … z", "a x z"));
}
