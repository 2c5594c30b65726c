//! `hotadd trace`: a trace of a running partition, or a page that replays a trace.

mod page;
mod read;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use hotadd_daemon::trace::{LIMIT, TraceFile};
use serde_json::Value;

use crate::args::Trace;
use crate::ask::{self, AskError};

use self::read::MOST_ON_PAGE;

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
