//! `hotadd metrics`: the metrics of a running partition, once.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::AskError;
use super::talk::Talk;
use crate::args::Metrics;
use crate::say;

/// Prints the metrics, or writes them to a file.
pub(crate) fn run(metrics: &Metrics) -> Result<bool, AskError> {
    let talk = Talk::with(&metrics.ask)?;
    let text: String = talk.call("GetMetrics", &())?;
    // Escaped by the partition; a partition that does not is not believed.
    let lines = text.lines().map(hotadd::text::clean);
    let text: String = lines.map(|line| line.into_owned() + "\n").collect();
    match &metrics.output {
        None => say::whole(&text),
        Some(path) => replace(path, &text).map_err(|error| {
            AskError::failed(format!("{} cannot be written: {error}", path.display()))
        })?,
    }
    Ok(true)
}

/// Replaces a file: a reader sees the old text or the new one, and never a part.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    // A file of this name is not from here, or is one that a killed process left.
    let _ = fs::remove_file(&beside);
    let written = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
    let replaced = written.and_then(|()| fs::rename(&beside, path));
    replaced.inspect_err(|_| drop(fs::remove_file(&beside)))
}
