//! What can be said on the command line, and what is wrong with it in a sentence.

mod ask;
mod help;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use hotadd::{CpuList, Follow};
use hotadd_daemon::spec::{DriverSpec, SimulateSpec};
use hotadd_daemon::values::{bus, duration, name, timeout};
use hotadd_run::{Add, FailOn, Over};
use hotadd_service::MetricsAddress;
use hotadd_wire::BusAddress;

pub(crate) use self::ask::{Ask, Change, History, Metrics, Parties, Rehearse, Trace, Watch};
use self::help::{AFTER_HELP, DAEMON_HELP, DOCTOR_HELP, INSPECT_HELP, VERIFY_HELP};
use self::values::{add, fail_on, follow, list, over, poll};

/// Parses the command line. Bad usage is reported and ends the process. A command without the `--` before it gets a hint.
pub(crate) fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        if let Some(word) = command_without_dashes(&error) {
            let hint = format!("{error}\nhint: put the command after --: hotadd run -- {word}");
            hint.lines().for_each(crate::say::note);
            std::process::exit(error.exit_code());
        }
        error.exit()
    })
}

/// The first word that `hotadd run` does not know, if it is not an option.
fn command_without_dashes(error: &clap::Error) -> Option<String> {
    let runs = std::env::args_os().nth(1).is_some_and(|word| word == "run");
    let ContextValue::String(word) = error.get(ContextKind::InvalidArg)? else { return None };
    (runs && error.kind() == ErrorKind::UnknownArgument && !word.starts_with('-'))
        .then(|| word.clone())
}

/// Adds processors to running programs, with the consent of all parties that must prepare for them.
#[derive(Debug, Parser)]
#[command(name = "hotadd", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command in a partition that gains processors while the command runs
    Run(Box<Run>),
    /// Show a running partition: its processors, its parties, pending calls and refusals
    Status(Ask),
    /// List the parties of a running partition in calling order, and the missing ones; or restart one
    Parties(Parties),
    /// Add processors to a running partition, one by one, if all parties agree
    Add(Change),
    /// Remove processors from a running partition, one by one, if all parties agree
    Remove(Change),
    /// Ask all parties whether processors could be added, or removed, and change nothing
    Rehearse(Rehearse),
    /// Watch running partitions on a terminal, live, and add, remove and rehearse processors by a key
    Watch(Watch),
    /// Show the events of a running partition
    History(History),
    /// Write a trace of a running partition for Perfetto or chrome://tracing, or a page that replays one
    Trace(Trace),
    /// Print the metrics of a running partition, in the text format of Prometheus
    Metrics(Metrics),
    /// Manage this machine's processors, in the foreground: a processor that is plugged in is added if all parties agree
    Daemon(Daemon),
    /// Check the daemon's configuration
    #[command(subcommand)]
    Config(Config),
    /// Inspect a driver's file without loading it: its format, its imports, and whether these are provided
    Inspect(Inspect),
    /// Write the kit for building drivers into a folder: headers, compilers and toolchains for .sys and .so
    Kit {
        /// A new folder, or an earlier kit, which is replaced
        dir: PathBuf,
    },
    /// Verify a driver: play what can happen to it, and report everything that it does wrong, and where
    Verify(Box<Verify>),
    /// Find what else on this machine brings processors online, and how to stop it
    Doctor(Doctor),
    /// Write the man pages into a folder: hotadd.1 and one for each command
    #[command(hide = true)]
    Man {
        /// An existing folder
        dir: PathBuf,
    },
    /// Write the completions for a shell to stdout
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Run one driver in this process; started by `run` and `daemon`
    #[command(hide = true)]
    Host(Box<Host>),
    /// Play one scenario of `verify`, which starts this
    #[command(hide = true)]
    VerifyStage,
    /// The built-in load of `run`: spinning threads, controlled over stdin
    #[command(hide = true)]
    Workload,
}

/// `hotadd run`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Run {
    /// Start on these processors [default: the first allowed one]
    #[arg(long, value_name = "LIST", value_parser = list)]
    pub(crate) start: Option<CpuList>,

    /// Add these, one by one: LIST, all or none
    #[arg(long, value_name = "LIST|all|none", default_value = "all", value_parser = add)]
    pub(crate) add: Add,

    /// After that remove these, one by one
    #[arg(long, value_name = "LIST", value_parser = list)]
    pub(crate) remove: Option<CpuList>,

    /// Time between changes. The first change is made when the command has started; without a command, after this time
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = duration)]
    pub(crate) every: Duration,

    /// Make no change until the command has run for this long. Runtimes (JVM, Go, OpenMP) size themselves by the processors that
    /// they see when they start; with this option they see those of --start only
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) after: Option<Duration>,

    /// What to do with a processor that appears while the command runs, also after --add is done. ask: ask the drivers, and add it
    /// if they agree; report: only report it; no: do nothing, `hotadd add` can add it
    #[arg(long, value_name = "ask|report|no", default_value = "ask", value_parser = follow)]
    pub(crate) follow: Follow,

    /// How often to check for changes that the kernel does not announce, from 10ms to 1h; such a change is noticed within this
    /// time
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = poll)]
    pub(crate) poll: Duration,

    /// Simulated processors instead of real ones: ACTIVE+SPARE[,fail-start=LIST][,delay=MS], or, with a topology,
    /// PACKAGESxCORESxTHREADS[,active=N], of which one is active at first, or the first N
    #[arg(long, value_name = "SPEC")]
    pub(crate) simulate: Option<SimulateSpec>,

    /// How the command is confined to its processors: cpuset, a cgroup, which needs root or a delegated cgroup; or affinity,
    /// masks, which need no privilege [default: cpuset where possible]
    #[arg(long, value_name = "WHAT", conflicts_with = "simulate", value_parser = over())]
    pub(crate) over: Option<Over>,

    /// A driver that must agree, called in the order given: sample[:veto=LIST][,delay=MS][,level=N][,name=X][,isolated];
    /// exec:PATH[,level=N][,name=X][,timeout=MS][,restart=N][,later] for a program or a folder of programs, which is not run for
    /// the initial processors with later; or a driver's file, a Windows .sys or a native .so:
    /// FILE[,level=N][,name=X][,timeout=MS][,restart=N][,alloc-fail=N][,strict]. While a driver is missing, because it crashed or
    /// did not answer in time, every add is refused in its name; with ,when-missing=skip it is no longer asked
    #[arg(long = "driver", value_name = "SPEC")]
    pub(crate) drivers: Vec<DriverSpec>,

    /// How long a driver in another process may take to answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = timeout)]
    pub(crate) timeout: Duration,

    /// Write every event to PATH as JSON, one object per line; - is stdout
    #[arg(long, value_name = "PATH", conflicts_with = "json")]
    pub(crate) events: Option<PathBuf>,

    /// Write events to stdout and draw nothing; the command's stdout goes to stderr
    #[arg(long)]
    pub(crate) json: bool,

    /// Serve metrics over HTTP at ADDRESS: unix:PATH for a socket, or an address and a port, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<MetricsAddress>,

    /// Write a trace of the run to FILE, for Perfetto, chrome://tracing and `hotadd trace --html`
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Make the partition reachable under this name, for agents and for commands such as `hotadd status` and `hotadd add`
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) name: Option<String>,

    /// Make the partition reachable on a message bus too, as org.hotadd.Partition.NAME: session, system or an address
    #[arg(long, value_name = "BUS", value_parser = bus, requires = "name")]
    pub(crate) bus: Option<BusAddress>,

    /// Fail, with exit status 1, if one of these happens during the run: refused, a processor is refused; breach, the contract is
    /// broken; fault, a driver crashes, does not answer in time or goes missing, or leaves memory behind when it is unloaded
    #[arg(long, value_name = "WHAT,...", value_parser = fail_on)]
    pub(crate) fail_on: Option<FailOn>,

    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// `hotadd daemon`.
#[derive(Args, Debug)]
#[command(after_help = DAEMON_HELP)]
pub(crate) struct Daemon {
    /// The configuration [default: /etc/hotadd/hotadd.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Format of the log on stderr [default: text, or journal records if stderr is the journal's]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    /// Write a trace to FILE, in place of the configuration's service.trace
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

/// How the daemon's lines look on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One sentence per line
    Text,
    /// JSON, one object per line, with fields
    Json,
}

/// `hotadd config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Report whether the daemon could start with this configuration, and what is wrong with it
    #[command(after_help = "Exit status: 0 if the daemon could start, 1 if not, 2 for bad usage.")]
    Check {
        /// The file [default: /etc/hotadd/hotadd.toml, if there is one]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// `hotadd inspect`.
#[derive(Args, Debug)]
#[command(after_help = INSPECT_HELP)]
pub(crate) struct Inspect {
    /// The file: a Windows driver (.sys) or a native one (.so)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hotadd verify`.
#[derive(Args, Debug)]
#[command(after_help = VERIFY_HELP)]
pub(crate) struct Verify {
    /// The driver, as for run --driver: its file, a Windows .sys or a native .so, with a / in its name or one of these ends;
    /// exec:PATH[,OPTION,...] for a program or a folder of programs; or sample[:OPTION,...]
    #[arg(value_name = "SPEC")]
    pub(crate) driver: DriverSpec,

    /// Print one JSON object in place of the table
    #[arg(long)]
    pub(crate) json: bool,

    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Write a SARIF report, which code hosts show as annotations
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif: Option<PathBuf>,

    /// Write a page with a timeline of each failing scenario
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Play only this scenario, by its name in a report
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) scenario: Option<String>,

    /// The seed of what is chosen at random. The same seed gives the same report, apart from times
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// What most drivers get wrong, in a few seconds
    #[arg(long, conflicts_with = "thorough")]
    pub(crate) quick: bool,

    /// Everything, with failing calls at more positions, in up to a minute
    #[arg(long)]
    pub(crate) thorough: bool,

    /// How long a callback of the driver may take
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = timeout)]
    pub(crate) timeout: Duration,
}

/// `hotadd doctor`.
#[derive(Args, Debug)]
#[command(after_help = DOCTOR_HELP)]
pub(crate) struct Doctor {
    /// Examine the system whose root is DIR
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,

    /// For each udev rules file that brings processors online, write a file into DIR, normally /etc/udev/rules.d, that overrides
    /// it and has those rules commented out
    #[arg(long, value_name = "DIR")]
    pub(crate) shadow: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hotadd host`.
#[derive(Args, Debug)]
pub(crate) struct Host {
    /// How long the driver may take to answer, in milliseconds
    #[arg(long, value_name = "MS")]
    pub(crate) time_limit: u64,

    /// The driver, as given to `run`
    pub(crate) driver: DriverSpec,
}
