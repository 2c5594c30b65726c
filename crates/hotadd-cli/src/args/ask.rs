//! The arguments of the commands that talk to a running partition.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use hotadd::CpuList;
use hotadd_daemon::values::{bus, duration, timeout};
use hotadd_wire::BusAddress;

use super::help::{ASK_HELP, TRACE_HELP, WATCH_HELP};
use super::values::list;
use crate::ask::since::Since;

/// Which partition to talk to, and how to answer.
#[derive(Args, Debug)]
#[command(after_help = ASK_HELP)]
pub(crate) struct Ask {
    /// The partition's name, or the path of its socket; not needed when there is only one
    #[arg(short, long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) partition: Option<String>,

    /// Look for the partition on this message bus: session, system or an address
    #[arg(long, value_name = "BUS", value_parser = bus)]
    pub(crate) bus: Option<BusAddress>,

    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,

    /// How long to wait for an answer [default: 5s; for requests that wait for parties, as long as their time limits allow]
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub(crate) timeout: Option<Duration>,
}

/// `hotadd parties`.
#[derive(Args, Debug)]
pub(crate) struct Parties {
    /// Restart this party: end its process, if it still has one, and register it again. The party must be named in the
    /// configuration or by --driver. Nothing is added until it has registered
    #[arg(long, value_name = "PARTY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) restart: Option<String>,

    #[command(flatten)]
    pub(crate) ask: Ask,
}

/// `hotadd watch`.
#[derive(Args, Debug)]
#[command(after_help = WATCH_HELP)]
pub(crate) struct Watch {
    /// The partitions' names, or the paths of their sockets [default: all that are running]
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) names: Vec<String>,

    /// Look for the partitions on this message bus: session, system or an address
    #[arg(long, value_name = "BUS", value_parser = bus)]
    pub(crate) bus: Option<BusAddress>,
}

/// Which processors are meant.
#[derive(Args, Debug)]
pub(crate) struct Change {
    /// The processors, in the kernel's form: 0-3,8
    #[arg(value_name = "LIST", value_parser = list)]
    pub(crate) list: CpuList,

    #[command(flatten)]
    pub(crate) ask: Ask,
}

/// `hotadd rehearse`.
#[derive(Args, Debug)]
pub(crate) struct Rehearse {
    /// Ask whether the processors could be removed. Only parties that get removal notices are asked
    #[arg(long)]
    pub(crate) remove: bool,

    #[command(flatten)]
    pub(crate) change: Change,
}

/// How much of the history is meant.
#[derive(Args, Debug)]
pub(crate) struct History {
    /// Show at most the latest N events
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000)]
    pub(crate) most: u32,

    /// Then print each event as it comes, until the partition ends
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Show only events from TIME on: a duration before now (10m), a time of day (12:30), a date with or without a time
    /// (2026-01-31 12:30), or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = Since::parse)]
    pub(crate) since: Option<Since>,

    #[command(flatten)]
    pub(crate) ask: Ask,
}

/// `hotadd trace`.
#[derive(Args, Debug)]
#[command(after_help = TRACE_HELP)]
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

/// `hotadd metrics`.
#[derive(Args, Debug)]
pub(crate) struct Metrics {
    /// Replace FILE at once, for the textfile collector of `node_exporter`. Its name must end in .prom there
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) ask: Ask,
}
