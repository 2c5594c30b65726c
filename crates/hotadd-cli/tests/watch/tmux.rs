//! [`Tmux`]: a terminal of a certain size in which a command runs, keys that a user presses there, and what the user sees.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use hotadd_testing::{Need, skip};
use tempfile::TempDir;

use crate::common::terminal::Terminal;

/// Longer than any step of these tests takes.
const LONG: Duration = Duration::from_secs(60);

/// A terminal. It ends with this value.
pub(crate) struct Tmux {
    folder: TempDir,
}

/// Whether there is a tmux.
pub(crate) fn exists(test: &str) -> bool {
    let exists =
        Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success());
    if !exists {
        skip(Need::Program("tmux"), test);
    }
    exists
}

impl Tmux {
    /// Runs `hotadd watch` in a terminal of this size, where it finds the partitions of `terminal`, with these further variables
    /// (`NAME=VALUE`). Then its status is shown, and whether the terminal reads lines again.
    pub(crate) fn watch(
        terminal: &Terminal,
        size: (u16, u16),
        variables: &[&str],
        args: &str,
    ) -> Self {
        let place = format!("XDG_RUNTIME_DIR={}", terminal.dir.display());
        let hotadd = env!("CARGO_BIN_EXE_hotadd");
        let variables = [&[place.as_str(), "TZ=UTC0"], variables].concat();
        let variables: String = variables.iter().map(|of| format!("'{of}' ")).collect();
        Self::run(
            size,
            &format!(
                "echo before; env {variables} '{hotadd}' watch {args}; echo status $?; \
                 stty -a | grep -o -- '-*icanon'; exec cat"
            ),
        )
    }

    /// Runs a command of the shell.
    pub(crate) fn run((columns, rows): (u16, u16), command: &str) -> Self {
        let tmux = Self { folder: tempfile::tempdir().unwrap() };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let begun =
            tmux.ask(&["new-session", "-d", "-x", &columns, "-y", &rows, "sh", "-c", command]);
        assert!(begun.status.success(), "{begun:?}");
        tmux
    }

    fn ask(&self, args: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        tmux.arg("-u").arg("-S").arg(self.folder.path().join("socket")).args(["-f", "/dev/null"]);
        // The user's own terminal is not to show in a test.
        tmux.env_remove("TMUX")
            .env_remove("NO_COLOR")
            .env("LC_ALL", "C.UTF-8")
            .env("SHELL", "/bin/sh");
        tmux.args(args).output().unwrap()
    }

    /// Presses these keys, by their names in tmux.
    pub(crate) fn press(&self, keys: &[&str]) {
        let sent = self.ask(&[&["send-keys"], keys].concat());
        assert!(sent.status.success(), "{sent:?}");
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, (columns, rows): (u16, u16)) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let resized = self.ask(&["resize-window", "-x", &columns, "-y", &rows]);
        assert!(resized.status.success(), "{resized:?}");
    }

    /// The process of the shell.
    pub(crate) fn shell(&self) -> u32 {
        let pid = self.ask(&["list-panes", "-F", "#{pane_pid}"]).stdout;
        String::from_utf8(pid).unwrap().trim().parse().unwrap()
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8(self.ask(&["capture-pane", "-p"]).stdout).unwrap()
    }

    /// The same with its escape sequences.
    pub(crate) fn coloured(&self) -> String {
        String::from_utf8(self.ask(&["capture-pane", "-p", "-e"]).stdout).unwrap()
    }

    /// Waits until the screen has this text.
    pub(crate) fn until(&self, text: &str) {
        self.until_it("has", text, |screen| screen.contains(text));
    }

    /// Waits until the screen no longer has this text.
    pub(crate) fn until_gone(&self, text: &str) {
        self.until_it("no longer has", text, |screen| !screen.contains(text));
    }

    fn until_it(&self, verb: &str, text: &str, is_so: impl Fn(&str) -> bool) {
        let last = self.becomes(is_so);
        assert!(last.is_none(), "the screen never {verb} {text:?}:\n{}", last.unwrap_or_default());
    }

    /// Waits until the screen is as it should be. If it never is, returns it.
    fn becomes(&self, is_so: impl Fn(&str) -> bool) -> Option<String> {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return None;
            }
            if began.elapsed() > LONG {
                return Some(screen);
            }
            // Nothing reports that a screen has changed. The pause leaves the processor to the program that is watched.
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until the screen is that of `screens/NAME.txt`, apart from times.
    pub(crate) fn shows(&self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/watch/screens");
        let path = path.join(format!("{name}.txt"));
        if std::env::var_os("HOTADD_UPDATE").is_some() {
            // The last update may be on its way: only here, where a person looks at the result.
            std::thread::sleep(Duration::from_secs(1));
            std::fs::write(&path, without_times(&self.screen())).unwrap();
            return;
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        let last = self.becomes(|screen| without_times(screen) == expected);
        let shown = without_times(&last.clone().unwrap_or_default());
        assert!(
            last.is_none(),
            "the screen is not that of {}:\n{shown}\nHOTADD_UPDATE=1 writes it anew",
            path.display()
        );
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.ask(&["kill-server"]);
    }
}

/// The screen with `T` in place of every duration and `HH:MM:SS` in place of every time of day. Rows that are cut end before the
/// duration, because its length decides where. Of a screen with a window only the window's text is left, with its long lines in one.
fn without_times(screen: &str) -> String {
    let inside =
        |row: &str| Some(row.split_once("│ ")?.1.rsplit_once('│')?.0.trim_end().to_owned());
    let window: Vec<String> = screen.lines().filter_map(inside).collect();
    let rows = if window.is_empty() {
        screen.lines().map(str::to_owned).collect()
    } else {
        let mut lines: Vec<String> = Vec::new();
        for row in window {
            match (row.strip_prefix("  "), lines.last_mut()) {
                (Some(more), Some(line)) => *line += &format!(" {more}"),
                _ => lines.push(row),
            }
        }
        lines
    };
    rows.iter().map(|row| row_without_times(row) + "\n").collect()
}

fn row_without_times(row: &str) -> String {
    let mut words: Vec<String> = row.split(' ').map(str::to_owned).collect();
    for word in &mut words {
        let of_day = word.len() >= 8
            && word.bytes().take(8).enumerate().all(|(at, byte)| {
                if at == 2 || at == 5 { byte == b':' } else { byte.is_ascii_digit() }
            });
        if of_day {
            word.replace_range(..8, "HH:MM:SS");
        }
    }
    let unit = |word: &str| matches!(word.trim_end_matches([',', ':']), "ms" | "s");
    let is_number = |word: &str| word.parse::<f64>().is_ok();
    let mut at = 0;
    while at + 1 < words.len() {
        if is_number(&words[at]) && unit(&words[at + 1]) {
            let next = words.remove(at + 1);
            let end = next.trim_start_matches(['m', 's']);
            words[at] = format!("T{end}");
        }
        at += 1;
    }
    let row = words.join(" ");
    match row.split_once(" in ") {
        Some((before, _)) if row.ends_with(['…', '.']) => format!("{before} (cut)"),
        _ => row,
    }
}

#[test]
fn times_are_left_out_of_screens() {
    let row = row_without_times;
    assert_eq!(
        row("  12:34:56 joined processor 1 in 0.12 ms"),
        "  HH:MM:SS joined processor 1 in T"
    );
    assert_eq!(row("agrees, in 1.20 s, at 12:34:56: no"), "agrees, in T, at HH:MM:SS: no");
    assert_eq!(row("  refused processor 1 in 0.12 ms: no ro…"), "  refused processor 1 (cut)");
    assert_eq!(row("  refused processor 1 in 0.…"), "  refused processor 1 (cut)");
    let window = "a\n─│ one in 0.1 ms: two │ x\n  │   three            │ y\n";
    assert_eq!(without_times(window), "one in T: two three\n");
}
