//! Man pages and completions: what packages install beside the command.

mod common;

use std::fs::{self, File};
use std::process::{Command, Stdio};

use common::{hotadd, output, stderr, stdout};

#[test]
fn every_public_command_has_a_man_page_with_all_its_options() {
    let folder = tempfile::tempdir().unwrap();
    let written = output(&["man", folder.path().to_str().unwrap()]);
    assert!(written.status.success(), "{}", stderr(&written));
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let commands = [
        "-add",
        "-config-check",
        "-config",
        "-daemon",
        "-doctor",
        "-history",
        "-inspect",
        "-kit",
        "-parties",
        "-rehearse",
        "-remove",
        "-run",
        "-status",
        "-verify",
        "-watch",
        "",
    ];
    assert_eq!(names, commands.map(|command| format!("hotadd{command}.1")));
    for name in &names {
        let page = fs::read_to_string(folder.path().join(name)).unwrap();
        let plain = page.replace('\\', "");
        assert!(plain.contains(".TH hotadd"), "{name} is a man page:\n{page}");
        let command = name.strip_prefix("hotadd").and_then(|rest| rest.strip_suffix(".1")).unwrap();
        let mut help: Vec<_> =
            command.trim_start_matches('-').split('-').chain(["--help"]).collect();
        help.retain(|word| !word.is_empty());
        let help = stdout(&output(&help));
        let options =
            help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2);
        for option in options {
            let option: String =
                option.chars().take_while(|c| c.is_ascii_alphabetic() || *c == '-').collect();
            assert!(plain.contains(&option), "{name} does not mention {option}");
        }
    }
}

#[test]
fn a_missing_folder_for_the_man_pages_is_an_error() {
    let failed = output(&["man", "/nowhere/at/all"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(stderr(&failed).starts_with("hotadd: the man pages cannot be written to /nowhere"));
}

#[test]
fn bash_completes_commands_and_options() {
    let script = output(&["completions", "bash"]);
    assert!(script.status.success(), "{}", stderr(&script));
    let complete = |words: &str| {
        let last = words.split(' ').next_back().unwrap();
        let ask = format!(
            "{}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _hotadd hotadd '{last}' x; echo ${{COMPREPLY[*]}}",
            stdout(&script)
        );
        let shell = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
        assert!(shell.status.success(), "{}", stderr(&shell));
        stdout(&shell).trim().to_owned()
    };
    assert_eq!(complete("hotadd re"), "remove rehearse");
    assert_eq!(complete("hotadd run --dr"), "--driver");
}

#[test]
fn other_shells_have_completions_and_a_full_disk_is_an_error() {
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = output(&["completions", shell]);
        assert!(script.status.success() && stdout(&script).contains("rehearse"), "{shell}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = hotadd(&["completions", "fish"]);
    let failed = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(failed.status.code(), Some(74));
    assert!(stderr(&failed).contains("could not be written"), "{}", stderr(&failed));
}
