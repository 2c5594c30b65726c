//! What a command line does that some file has run: the line itself, and the scripts that it names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::script::{self, Subject};
use super::tree::Tree;

/// What is known of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// It brings processors online: by this line of this script, or by itself.
    Online(Option<(PathBuf, usize)>),
    /// It is a program that cannot be read.
    Unclear(PathBuf),
    /// Nothing of the kind.
    Else,
}

/// Of one command so many scripts are read.
const SCRIPTS: usize = 16;

/// Programs that run others, or do nothing to processors. What is known of them is on their command line.
const PLAIN: [&str; 16] = [
    "sh",
    "bash",
    "dash",
    "env",
    "perl",
    "python3",
    "systemctl",
    "systemd-run",
    "logger",
    "echo",
    "cat",
    "test",
    "true",
    "uname",
    "sleep",
    "touch",
];

/// Looks at a command. `folders` are where a program without a folder is.
pub(crate) fn look(tree: &Tree, command: &[u8], folders: &[&str], subject: Subject) -> Does {
    if !script::scan(command, subject).is_empty() {
        return Does::Online(None);
    }
    let cut = |byte: &u8| byte.is_ascii_whitespace() || b"'\"`;|&()<>=".contains(byte);
    let words = command.split(cut).filter(|word| !word.is_empty());
    let mut read = 0;
    let mut unclear = None;
    let mut before: Option<&Path> = None;
    for word in words {
        // What systemd has before a program's path.
        let marks = word.iter().take_while(|byte| b"-@:+!|".contains(byte)).count();
        let path = Path::new(OsStr::from_bytes(&word[marks..]));
        // The program itself, or what a shell is to run. Other words are scripts if they look like it.
        let first = before.is_none();
        let sure = before.is_none_or(is_plain);
        let option = !first && word.starts_with(b"-");
        if option || path.as_os_str().is_empty() {
            continue;
        }
        before = Some(path);
        for path in candidates(path, first, folders) {
            read += 1;
            if read > SCRIPTS {
                return unclear.map_or(Does::Else, Does::Unclear);
            }
            let text = if sure { tree.read_text(&path) } else { tree.read_if_script(&path) };
            match text {
                Some(text) => {
                    if let Some(hit) = script::scan(&text, subject).first() {
                        return Does::Online(Some((path, hit.line)));
                    }
                }
                None if first && !is_plain(&path) && tree.kind(&path).is_some() => {
                    unclear = Some(path);
                }
                None => {}
            }
        }
    }
    unclear.map_or(Does::Else, Does::Unclear)
}

/// Where a word can be found that may name a script.
fn candidates(word: &Path, first: bool, folders: &[&str]) -> Vec<PathBuf> {
    let others = ["/sys", "/proc", "/dev"];
    if word.is_absolute() {
        let other = others.iter().any(|other| word.starts_with(other));
        return if other { Vec::new() } else { vec![word.to_owned()] };
    }
    let folders = folders.iter().filter(|_| first);
    folders.map(|folder| Path::new(folder).join(word)).collect()
}

fn is_plain(path: &Path) -> bool {
    path.file_name().is_some_and(|name| PLAIN.iter().any(|plain| name == *plain))
}
