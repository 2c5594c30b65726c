//! Writes a shadow in place of each rules file that brings processors online.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use super::shadow::{self, Header};
use super::{FOLDERS, RuleFile};
use crate::command::Follower;
use crate::tree::{LARGEST, Tree, identity};

/// The result for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "&str")]
pub enum Outcome {
    /// The shadow was written.
    Written,
    /// The shadow is already as it would be written.
    Kept,
    /// The shadow was not written.
    Refused,
}

/// The outcome's name, for people and programs.
impl From<Outcome> for &str {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Written => "written",
            Outcome::Kept => "kept",
            Outcome::Refused => "refused",
        }
    }
}

/// The result for one rules file. Its texts may contain control characters.
#[derive(Debug, Serialize)]
pub struct Shadow {
    /// The path of the shadow.
    pub file: String,
    /// The result.
    pub outcome: Outcome,
    /// The reason, and what to do.
    pub said: String,
}

/// What the folder has under a name.
enum There {
    Nothing,
    Shadow(Header, Vec<u8>),
    Other,
}

/// Covers all files of a tree that need it.
///
/// # Errors
/// The path is not a folder, or cannot be examined.
pub(crate) fn all(tree: &Tree, follower: &Follower<'_>, dir: &Path) -> io::Result<Vec<Shadow>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(dir, flags, Mode::empty());
    let id = identity(folder.map_err(|error| unusable(dir, error.into()))?);
    // The position among udev's folders. A folder that is not one of them is allowed: then the caller puts the shadows where they
    // belong.
    let rank = FOLDERS.iter().position(|folder| id.is_some() && tree.id(Path::new(folder)) == id);
    let mut plans = Vec::new();
    for (name, paths) in super::names(tree) {
        let path = dir.join(&name);
        if let Some(plan) = cover(tree, follower, &path, rank, &paths) {
            plans.push((path, plan));
        }
    }
    // Checked before the first is written, so that all or none are written if the folder is not writable.
    if plans.iter().any(|(_, plan)| matches!(plan, Plan::Write { .. })) {
        temporary(dir).map_err(|error| unusable(dir, error))?;
    }
    let covered = plans.into_iter().map(|(path, plan)| {
        let (outcome, said) = match plan {
            Plan::Leave(outcome, said) => (outcome, said),
            Plan::Write { text, over, said } => match put(&path, &text, over) {
                Ok(()) => (Outcome::Written, said),
                Err(error) => (Outcome::Refused, format!("it cannot be written: {error}")),
            },
        };
        Shadow { file: path.to_string_lossy().into_owned(), outcome, said }
    });
    Ok(covered.collect())
}

/// Why a folder cannot be used, and what to do instead.
fn unusable(dir: &Path, error: io::Error) -> io::Error {
    let link = dir.ancestors().find_map(|path| Some((path, fs::read_link(path).ok()?)));
    let read_only = Errno::from_io_error(&error) == Some(Errno::ROFS);
    let advice = "write the shadows into another folder (--shadow DIR) and install them with the tool that \
     generates this folder (on NixOS services.udev.packages or environment.etc)";
    match link {
        Some((link, target)) => io::Error::new(
            error.kind(),
            format!(
                "{error}; {} is a link to {}; nothing was written: {advice}",
                link.display(),
                target.display()
            ),
        ),
        None if read_only => {
            io::Error::new(error.kind(), format!("{error}; nothing was written: {advice}"))
        }
        None => error,
    }
}

/// What is to be done for one file.
enum Plan {
    Leave(Outcome, String),
    Write {
        text: Vec<u8>,
        /// A shadow is there and is replaced.
        over: bool,
        said: String,
    },
}

/// Plans the shadow for the files of one name; the first one takes precedence. None if there is nothing to do.
fn cover(
    tree: &Tree,
    follower: &Follower<'_>,
    path: &Path,
    rank: Option<usize>,
    paths: &[PathBuf],
) -> Option<Plan> {
    let refused = |said: String| Some(Plan::Leave(Outcome::Refused, said));
    let order = |path: &Path| FOLDERS.iter().position(|folder| path.starts_with(folder));
    let there = there(path);
    let own = rank.map(|rank| Path::new(FOLDERS[rank]));
    let first = paths.first()?;
    // The source of the shadow: the file that takes precedence, without what is in this folder.
    let source = match &there {
        There::Shadow(..) => paths.iter().find(|path| own.is_none_or(|own| !path.starts_with(own))),
        _ => Some(first),
    };
    let Some(source) = source else {
        let said = "the file that it replaces no longer exists; this override can be deleted";
        return Some(Plan::Leave(Outcome::Kept, said.to_owned()));
    };
    let text = tree.read(source)?;
    let file = super::judge(tree, follower, source, &text);
    if !shadow::is_needed(&file) {
        let said = format!(
            "{} no longer brings processors online; this override can be deleted",
            source.display()
        );
        return matches!(there, There::Shadow(..)).then_some(Plan::Leave(Outcome::Kept, said));
    }
    if own.is_some_and(|own| source.starts_with(own)) {
        return refused(format!(
            "it is the file to be replaced; put # before {} of it",
            lines(&file)
        ));
    }
    if rank.is_some_and(|rank| order(source).is_some_and(|order| order < rank)) {
        let said = format!(
            "{} takes precedence over it; put # before {} there",
            source.display(),
            lines(&file)
        );
        return refused(said);
    }
    if !shadow::can_be_named(source) {
        return refused("its name contains a line break or the like; rename the file".to_owned());
    }
    let made = shadow::made(&file, &text);
    if made.len() as u64 > LARGEST {
        return refused(format!("it would have more than {LARGEST} bytes; write it by hand"));
    }
    let left = super::judge(tree, follower, source, &made);
    if shadow::is_needed(&left) {
        return refused(format!(
            "the file still brings processors online without {}; write it by hand",
            lines(&file)
        ));
    }
    match &there {
        There::Other => {
            return refused(
                "a file exists that hotadd doctor did not write; edit or remove it".to_owned(),
            );
        }
        There::Shadow(Header { intact: false, .. }, _) => {
            return refused(
                "it was edited after hotadd doctor wrote it; edit or remove it".to_owned(),
            );
        }
        There::Shadow(_, text) if *text == made => {
            let said = format!("it is up to date with {}", source.display());
            return Some(Plan::Leave(Outcome::Kept, said));
        }
        There::Shadow(..) | There::Nothing => {}
    }
    let said = format!("it overrides {}, without {}", source.display(), lines(&file));
    Some(Plan::Write { text: made, over: matches!(there, There::Shadow(..)), said })
}

fn there(path: &Path) -> There {
    let Ok(found) = fs::symlink_metadata(path) else { return There::Nothing };
    match if found.is_file() { shadow_at(path) } else { None } {
        Some((header, text)) => There::Shadow(header, text),
        None => There::Other,
    }
}

fn shadow_at(path: &Path) -> Option<(Header, Vec<u8>)> {
    // The file may have been replaced since it was checked.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).ok()?;
    Some((shadow::header(&text)?, text))
}

/// The lines of a file that bring processors online, as text.
fn lines(file: &RuleFile) -> String {
    const SHOWN: usize = 10;
    let rules = file.offences.iter().filter(|offence| !offence.tokens.is_empty());
    let more = if rules.clone().count() > SHOWN { " and more" } else { "" };
    let lines = rules.take(SHOWN).map(|offence| match file.rules[offence.rule].lines {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    });
    format!("line {}{more}", lines.collect::<Vec<_>>().join(", "))
}

/// A temporary file in a folder, deleted when it is dropped. udev ignores its name.
fn temporary(dir: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(OsStr::new(".hotadd-")).suffix(".tmp").tempfile_in(dir)
}

/// Writes a file atomically: a reader sees the old one or the new one. Without `over` no existing file is replaced.
fn put(path: &Path, text: &[u8], over: bool) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = temporary(dir)?;
    file.write_all(text)?;
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    if over { file.persist(path) } else { file.persist_noclobber(path) }
        .map_err(|error| error.error)?;
    File::open(dir)?.sync_all()
}
