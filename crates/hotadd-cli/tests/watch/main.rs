//! `hotadd watch` in a terminal, as a user sees it. The screens are in `screens/`, without times.
//!
//! `HOTADD_UPDATE=1 cargo test -p hotadd-cli --test watch -- --test-threads 1` writes them anew: then look at each.

#[path = "../common/mod.rs"]
mod common;
mod page;
mod tmux;

use std::process::Stdio;

use common::live::{children_of, comes_true};
use common::terminal::{Agent, Terminal};
use common::{hotadd, output, stderr};
use rustix::process::{Pid, Signal, kill_process};
use tmux::{Tmux, exists};

const USUAL: (u16, u16) = (80, 24);

/// A partition named `demo` with processor 0, and two more that can be added.
fn partition(test: &str, more: &[&str]) -> Terminal {
    Terminal::start(test, &[&["--simulate", "1+2"], more, &["--", "cat"]].concat())
}

#[test]
fn a3_a_refusal_is_seen_with_party_and_reason_and_an_add_and_a_rehearsal_are_a_key_each() {
    let test = "watch-refusal";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &[]);
    let _agent = Agent::start(&terminal, &["--refuse", "1"]);
    let watch = Tmux::watch(&terminal, USUAL, &[], "demo");
    watch.until("registered agent.py");
    watch.until("○ 2 present");
    watch.shows("start");
    watch.press(&["Right", "a"]);
    watch.until("(A3)");
    watch.until("✕ 1 refused");
    watch.shows("refused");
    watch.press(&["Enter"]);
    watch.shows("details");
    watch.press(&["Escape"]);
    watch.until_gone("Last transaction");
    watch.press(&["r"]);
    watch.until("(level 0) refuses");
    watch.shows("rehearsal");
    watch.press(&["Escape"]);
    watch.until_gone("(level 0) refuses");
    watch.press(&["Right", "a"]);
    watch.until("processor 2 joined");
    watch.until("● 2 active");
    watch.shows("joined");
    watch.press(&["2", "Enter"]);
    watch.until("agreed 2, refused 2");
    watch.press(&["Escape"]);
    watch.until_gone("agreed 2, refused 2");
    watch.press(&["q"]);
    watch.until("status 0");
}

#[test]
fn x1_a_processor_is_removed_only_after_a_y() {
    let test = "watch-removal";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &["--driver", "sample"]);
    assert!(terminal.hotadd(&["add", "1"]).status.success());
    let watch = Tmux::watch(&terminal, USUAL, &[], "");
    watch.until("● 2 active");
    watch.press(&["Right", "d"]);
    watch.until("Remove processor 1 from demo, if all parties agree? y/n");
    watch.press(&["n"]);
    watch.until_gone("y/n");
    watch.press(&["d"]);
    watch.until("y/n");
    watch.press(&["y"]);
    watch.until("processor 1 left");
    watch.until("● 1 active");
}

#[test]
fn a_wait_does_not_stop_the_view_and_names_the_party() {
    let test = "watch-wait";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &[]);
    let agent = Agent::start(&terminal, &["--delay", "600"]);
    let watch = Tmux::watch(&terminal, USUAL, &[], "demo");
    watch.until("registered agent.py");
    watch.press(&["Right", "a"]);
    watch.until("waiting for agent.py: AddStart of 1, ");
    watch.until("? 1 waiting");
    watch.press(&["?"]);
    watch.until("arrows, hjkl");
    watch.press(&["Escape"]);
    watch.until_gone("arrows, hjkl");
    watch.until("adding 1");
    agent.kill();
    watch.until("its connection was closed");
}

#[test]
fn a_terminal_of_40_columns_has_everything_and_no_color_is_honoured() {
    let test = "watch-narrow";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &["--driver", "sample:veto=1,name=pool"]);
    assert!(!terminal.hotadd(&["add", "1"]).status.success());
    let watch = Tmux::watch(&terminal, (40, 20), &["NO_COLOR=1"], "demo");
    watch.until("✕ 1");
    watch.until("○ 1");
    watch.shows("narrow");
    let coloured = watch.coloured();
    let sequences = coloured.split("\x1b[").skip(1).filter_map(|rest| rest.split_once('m'));
    for (parameters, _) in sequences {
        let colour = |p: &str| matches!(p.parse(), Ok(30..=38 | 40..=48 | 90..=107));
        assert!(
            !parameters.split(';').any(colour),
            "a colour in spite of NO_COLOR: {parameters:?}"
        );
    }
}

#[test]
fn the_locale_c_has_a_view_in_ascii() {
    let test = "watch-ascii";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &["--driver", "sample:veto=1,name=pool"]);
    assert!(!terminal.hotadd(&["add", "1"]).status.success());
    let watch = Tmux::watch(&terminal, USUAL, &["LC_ALL=C"], "demo");
    watch.until("x 1 refused");
    watch.until("o 1 present");
    watch.shows("ascii");
    assert!(watch.screen().is_ascii(), "{}", watch.screen());
}

#[test]
fn a_partition_that_ends_is_shown_as_ended_and_followed_again_when_it_is_back() {
    let test = "watch-ended";
    if !exists(test) {
        return;
    }
    let mut terminal = partition(test, &["--driver", "sample:name=first"]);
    let watch = Tmux::watch(&terminal, USUAL, &[], "demo");
    watch.until("registered first");
    terminal.end();
    watch.until("ended at");
    watch.until("registered first");
    let mut again = hotadd(&["run", "--name", "demo", "--add", "none", "--simulate", "1+2"]);
    terminal.place(&mut again);
    let again = again.args(["--driver", "sample:name=second", "--json", "--", "cat"]);
    let again = again.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut again = again.spawn().unwrap();
    watch.until("registered second");
    watch.until_gone("ended at");
    watch.until_gone("registered first");
    drop(again.stdin.take());
    assert!(again.wait().unwrap().success());
}

#[test]
fn several_partitions_are_watched_and_tab_goes_to_the_next() {
    let test = "watch-several";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &["--driver", "sample:name=first"]);
    let mut other = hotadd(&["run", "--name", "other", "--add", "none", "--simulate", "5+0"]);
    terminal.place(&mut other);
    let other = other.args(["--json", "--", "cat"]);
    let other = other.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut other = other.spawn().unwrap();
    comes_true("it listens", || terminal.hotadd(&["status", "-p", "other"]).status.success());
    let watch = Tmux::watch(&terminal, USUAL, &[], "");
    watch.until("[demo]  other");
    watch.until("registered first");
    watch.press(&["Tab"]);
    watch.until(" demo  [other]");
    watch.until("● 5 active");
    watch.press(&["q"]);
    watch.until("status 0");
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
}

#[test]
fn the_terminal_is_restored_by_ctrl_c_and_by_signals() {
    let test = "watch-restored";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &[]);
    for (signal, status) in
        [(None, 130), (Some(Signal::TERM), 143), (Some(Signal::INT), 130), (Some(Signal::HUP), 129)]
    {
        let watch = Tmux::watch(&terminal, USUAL, &[], "demo");
        watch.until("○ 2 present");
        assert!(!watch.screen().contains("before"), "the shell's screen is hidden");
        match signal {
            None => watch.press(&["C-c"]),
            Some(signal) => {
                let children = children_of(watch.shell());
                let (pid, _) =
                    children.iter().find(|(_, words)| words.contains(" watch ")).unwrap();
                let pid = Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
                kill_process(pid, signal).unwrap();
            }
        }
        watch.until(&format!("before\nstatus {status}\nicanon\n"));
    }
}

#[test]
fn ctrl_z_gives_the_terminal_back_until_fg() {
    let test = "watch-stopped";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &[]);
    let watch = Tmux::run(USUAL, "exec bash --norc -i");
    let command = format!(
        "XDG_RUNTIME_DIR='{}' '{}' watch demo",
        terminal.dir.display(),
        env!("CARGO_BIN_EXE_hotadd")
    );
    watch.press(&[&command, "Enter"]);
    watch.until("○ 2 present");
    watch.press(&["C-z"]);
    watch.until("Stopped");
    watch.press(&["stty -a | grep -o -- '-*icanon'", "Enter"]);
    watch.until("\nicanon\n");
    watch.press(&["fg", "Enter"]);
    watch.until("○ 2 present");
    watch.until_gone("Stopped");
    watch.press(&["?"]);
    watch.until("arrows, hjkl");
}

#[test]
fn a_window_that_becomes_too_small_says_so_and_a_larger_one_is_filled() {
    let test = "watch-size";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &[]);
    let watch = Tmux::watch(&terminal, (30, 6), &[], "demo");
    watch.until("The terminal is too small for");
    watch.resize((100, 30));
    watch.until("1 of 3 processors active · epoch 1");
    watch.resize((30, 6));
    watch.until("The terminal is too small for");
}

#[test]
fn without_a_terminal_the_error_says_what_to_use_instead() {
    let no_terminal = output(&["watch"]);
    assert_eq!(no_terminal.status.code(), Some(2));
    let said = stderr(&no_terminal);
    assert!(said.contains("needs a terminal; `hotadd history --follow` prints"), "{said}");
    let test = "watch-dumb";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &[]);
    let watch = Tmux::watch(&terminal, (120, 24), &["TERM=dumb"], "demo");
    watch.until("status 2");
    let said = watch.screen();
    assert!(said.contains("which is dumb (TERM); `hotadd history --follow` prints"), "{said}");
}

#[test]
fn a_partition_that_is_not_running_is_an_error_on_the_shells_screen() {
    let test = "watch-absent";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &[]);
    let watch = Tmux::watch(&terminal, (120, 24), &[], "demo nowhere");
    watch.until("there is no running partition nowhere");
    watch.until("status 3");
}
