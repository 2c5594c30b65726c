//! `hotadd trace`: a trace of a running partition, or a page that replays a trace.

mod page;
mod read;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hotadd_daemon::trace::{LIMIT, TraceFile};
use hotadd_daemon::values::duration;
use serde_json::Value;

use crate::args::Ask;
use crate::ask::{self, AskError};

/// The most events of a page: a browser takes no more in reasonable time.
const MOST_ON_PAGE: usize = 250_000;

/// `hotadd trace`.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(crate) struct Trace {
    /// Write to FILE instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// End after this time instead of at Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) time: Option<Duration>,

    /// Write a page that replays the run: of the trace in FILE, which run, daemon or this command wrote; without FILE, of the
    /// running partition
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "the option can be given without a value")]
    pub(crate) html: Option<Option<PathBuf>>,

    #[command(flatten)]
    pub(crate) ask: Ask,
}

const HELP: &str = "\
The trace has the events that the partition has kept (the latest 1,000 at most) and those that happen until \
the time is up, Ctrl-C is pressed, or the partition ends. It opens in https://ui.perfetto.dev and in \
chrome://tracing. A file is limited to 64 MiB: then it is renamed to FILE.1, in place of an earlier one, and \
a new one begins. See docs/tracing.md.

Exit status: 0 on success, 1 if something cannot be read or written, 2 for bad usage, 3 if there is no such \
partition or its socket is not trusted.";

/// Writes what is wanted.
pub(crate) fn run(trace: &Trace) -> Result<bool, AskError> {
    match &trace.html {
        None => live(trace),
        Some(None) => {
            let mut events = Vec::new();
            let keep = |more: &[Value]| {
                events.extend_from_slice(more);
                events.len() < MOST_ON_PAGE
            };
            ask::trace::follow(&trace.ask, trace.time, keep)?;
            write_page(trace, &read::Shown::of(events))
        }
        Some(Some(file)) => {
            let shown = read::file(file)
                .map_err(|why| AskError::failed(format!("{}: {why}", file.display())))?;
            write_page(trace, &shown)
        }
    }
}

/// Writes the trace of a running partition.
fn live(trace: &Trace) -> Result<bool, AskError> {
    let opened = match &trace.output {
        Some(path) => TraceFile::create(path, LIMIT),
        None => TraceFile::to(Box::new(io::stdout())),
    };
    let place = || trace.output.as_deref().unwrap_or(Path::new("stdout")).display().to_string();
    let failed =
        |error: io::Error| AskError::failed(format!("{} cannot be written: {error}", place()));
    let mut file = opened.map_err(failed)?;
    let mut lost = None;
    let write = |events: &[Value]| {
        let written = file.write(events);
        lost = written.err();
        lost.is_none()
    };
    ask::trace::follow(&trace.ask, trace.time, write)?;
    let ended = lost.map_or_else(|| file.end(), Err);
    match ended {
        // The reader wanted no more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(failed(error)),
        Ok(()) => Ok(true),
    }
}

fn write_page(trace: &Trace, shown: &read::Shown) -> Result<bool, AskError> {
    let page = page::page(shown);
    let written = match &trace.output {
        Some(path) => fs::write(path, page),
        None => io::stdout().write_all(page.as_bytes()),
    };
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(AskError::failed(format!("the page cannot be written: {error}"))),
        Ok(()) => Ok(true),
    }
}
