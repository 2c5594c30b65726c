//! Nothing of hotadd's leaks into a driver's process, and the driver's output is cleaned before it is shown.

use std::process::Command;

use crate::built::{Built, Run};
use crate::common::live::ends;
use crate::common::{events, hotadd, of, output, stderr, stdout};

/// Runs a driver that refuses to load, with a status for each leak, if it finds one. `start` makes the command.
fn finds_nothing(what: &str, look: &str, start: impl FnOnce(&str) -> Command) {
    let built = Built::new();
    let driver = built.doing("looks", look);
    let output = start(&driver).output().unwrap();
    assert!(output.status.success(), "{what}: {}", stderr(&output));
}

#[test]
fn descriptors_of_hotadds_caller_are_closed_in_a_drivers_process() {
    // The shell does not mark this descriptor close-on-exec.
    let look = "char byte; for (int fd = 7; fd < 10; fd += 2) if (read(fd, &byte, 1) > 0) return 0xE0000001;";
    finds_nothing("an open file", look, |driver| {
        let mut shell = Command::new("/bin/sh");
        let line =
            "exec 9</etc/passwd 7</etc/passwd; exec \"$0\" run --simulate 1+0 --driver \"$1\"";
        shell.args(["-c", line, env!("CARGO_BIN_EXE_hotadd"), driver]);
        shell
    });
}

#[test]
fn a_driver_does_not_see_hotadds_environment() {
    let look = "extern char **environ; if (environ[0] && (strncmp(environ[0], \"TZ=\", 3L) || environ[1])) return 0xE0000001;";
    finds_nothing("a variable", look, |driver| {
        let mut hotadd = hotadd(&["run", "--simulate", "1+0", "--driver", driver]);
        hotadd.env("AWS_SECRET_ACCESS_KEY", "secret");
        hotadd
    });
}

#[test]
fn a_drivers_stderr_is_cleaned_and_prefixed_with_its_name() {
    let built = Built::new();
    let says = r#"static char text[] = "<0>\x1b[31mred\n\nsecond\r\n"; write(2, text, sizeof text - 1); printf("third\n"); fflush(0);"#;
    let driver = built.doing("writes", says);
    let output = output(&["run", "--simulate", "1+0", "--driver", &driver]);
    let (out, err) = (stdout(&output), stderr(&output));
    let shown = format!("{out}{err}");
    assert!(output.status.success(), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no escape sequence is shown: {shown:?}");
    assert!(
        !shown.lines().any(|line| line.starts_with('<')),
        "no line begins with a priority: {shown}"
    );
    for line in ["writes.so: <0>\u{fffd}[31mred", "writes.so: second\u{fffd}", "writes.so: third"] {
        assert!(shown.lines().any(|shown| shown.trim() == line), "{line:?}: {shown}");
    }
}

#[test]
fn a_drivers_stderr_is_reported_as_print_events() {
    let built = Built::new();
    let driver = built.doing("writes", "write(2, \"one\\ntwo\", 7);");
    let output = Run::new("1+0").driver(&driver).output();
    let events = events(&stdout(&output));
    let said: Vec<_> = of(&events, "said").iter().map(|event| event["text"].clone()).collect();
    assert_eq!(said, ["one", "two"], "{events:#?}");
}

#[test]
fn a_driver_cannot_change_its_code_through_the_file_it_was_loaded_from() {
    let look = "void *mmap(); for (int fd = 0; fd < 64; fd++) if (mmap(0, 4096, 3, 1, fd, 0L) != (void *)-1) return 0xE0000001;";
    finds_nothing("a writable mapping", look, |driver| {
        hotadd(&["run", "--simulate", "1+0", "--driver", driver])
    });
}

/// Refuses the file at once and says what it is.
fn no_file_of_its_kind(arguments: &[&str]) {
    let output = ends(hotadd(arguments));
    let said = format!("{}{}", stdout(&output), stderr(&output));
    assert!(!output.status.success(), "{arguments:?}: {said}");
    assert!(said.contains("not a regular file"), "{arguments:?}: {said}");
}

#[test]
fn a_pipe_is_refused_as_a_drivers_file_at_once() {
    let built = Built::new();
    let pipe = built.folder().join("pipe.sys");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let pipe = pipe.to_str().unwrap();
    no_file_of_its_kind(&["run", "--simulate", "1+0", "--driver", pipe]);
    no_file_of_its_kind(&["inspect", pipe]);
}
