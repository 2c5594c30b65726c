//! `hotadd run` on a terminal: a pseudo-terminal with an emulator that shows what a user would see.

mod common;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use common::hotadd;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const ROWS: u16 = 24;
const COLUMNS: u16 = 100;

/// Runs `hotadd` with a terminal for stdout and stderr. Returns all that was written to it.
fn on_terminal(args: &[&str], no_color: bool) -> (Vec<u8>, std::process::ExitStatus) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = OpenOptions::new().read(true).write(true).open(name).unwrap();
    tcsetwinsize(&slave, size).unwrap();
    let slave = OwnedFd::from(slave);
    let mut command = hotadd(args);
    command.env("TERM", "xterm-256color");
    if no_color {
        command.env("NO_COLOR", "1");
    }
    let mut child: Child = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(slave.try_clone().unwrap()))
        .stderr(Stdio::from(slave))
        .spawn()
        .unwrap();
    // The command holds copies of the terminal's other end. When they are closed, reading ends with EIO.
    drop(command);
    let mut written = Vec::new();
    let mut buffer = [0; 4096];
    let mut master = File::from(master);
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        written.extend_from_slice(&buffer[..length]);
    }
    (written, child.wait().unwrap())
}

fn emulator() -> vt100::Parser {
    let size = |n| NonZero::new(n).unwrap();
    vt100::Parser::new(size(ROWS), size(COLUMNS), 200)
}

/// The final screen of the emulator.
fn screen(written: &[u8]) -> String {
    let mut terminal = emulator();
    terminal.process(written);
    terminal.screen().contents()
}

#[test]
fn a_terminal_shows_processors_with_every_drivers_answer() {
    let args = [
        "run",
        "--simulate",
        "2+3,fail-start=3",
        "--every",
        "20ms",
        "--driver",
        "sample:veto=4,name=pool",
    ];
    let (written, status) = on_terminal(&args, false);
    assert!(status.success());
    let screen = screen(&written);
    assert!(screen.contains("3 of 5 processors active"), "{screen}");
    assert!(screen.contains("● active") && screen.contains("✕ refused"), "{screen}");
    assert!(screen.contains("pool"), "the driver that refused is named:\n{screen}");
    assert!(written.windows(4).any(|w| w == b"\x1b[38" || w == b"\x1b[32"), "in colour");
}

#[test]
fn no_color_is_honoured() {
    let (written, status) =
        on_terminal(&["run", "--simulate", "1+1", "--driver", "sample:veto=1"], true);
    assert!(status.success());
    assert!(screen(&written).contains("✕ refused"), "the TUI is shown nevertheless");
    let text = String::from_utf8_lossy(&written);
    // 30-37 and 38 are foreground colours, 40-48 backgrounds, 90 and 100 bright ones; bold and dim may be.
    for parameters in text.split("\x1b[").skip(1).filter_map(|s| s.split_once('m').map(|(p, _)| p))
    {
        let colour = |p: &str| matches!(p.parse(), Ok(30..=38 | 40..=48 | 90..=107));
        assert!(
            !parameters.split(';').any(colour),
            "a colour in spite of NO_COLOR: {parameters:?}"
        );
    }
}

#[test]
fn the_commands_output_and_the_tui_do_not_disturb_each_other() {
    let script = "for i in $(seq 40); do echo line $i; done; test -t 1 && echo it has a terminal";
    let (written, status) = on_terminal(&["run", "--add", "none", "--", "sh", "-c", script], false);
    assert!(status.success());
    let mut terminal = emulator();
    terminal.process(&written);
    terminal.screen_mut().set_scrollback(usize::MAX);
    let mut seen = String::new();
    let mut last = usize::MAX;
    while terminal.screen().scrollback() != last {
        last = terminal.screen().scrollback();
        seen += &terminal.screen().contents();
        seen.push('\n');
        terminal.screen_mut().set_scrollback(last.saturating_sub(usize::from(ROWS)));
    }
    for line in 1..=40 {
        assert!(
            seen.lines().any(|l| l.trim_end() == format!("line {line}")),
            "line {line} is lost:\n{seen}"
        );
    }
    assert!(seen.contains("it has a terminal"), "the command keeps its terminal:\n{seen}");
}

#[test]
fn a_full_screen_command_draws_over_the_tui() {
    let draw = format!("printf '\\033[2J\\033[{ROWS};1HFULL'");
    let (written, status) = on_terminal(&["run", "--add", "none", "--", "sh", "-c", &draw], false);
    assert!(status.success());
    let end = written.windows(4).position(|word| word == b"FULL").expect("it is passed on") + 4;
    let shown = screen(&written[..end]);
    assert_eq!(shown.lines().last(), Some("FULL"), "in the TUI's last row:\n{shown}");
}

#[test]
fn output_that_is_not_a_terminal_gets_plain_lines() {
    let output = common::output(&["run", "--simulate", "1+1"]);
    let said = common::stdout(&output);
    assert!(said.contains("processor 1 joined") && !said.contains('\x1b'), "{said}");
}

#[test]
fn plain_lines_name_the_party_that_is_waited_for() {
    let output =
        common::output(&["run", "--simulate", "1+1", "--driver", "sample:delay=1300,name=slow"]);
    let said = common::stdout(&output);
    assert!(said.contains("waiting for slow: AddStart of processor 1"), "{said}");
}
