//! What can be said on the command line, and what is wrong with it in a sentence.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use hotadd::{CpuList, Follow};
use hotadd_daemon::spec::{DriverSpec, SimulateSpec};
use hotadd_daemon::values::{bus, duration, name, timeout};
use hotadd_service::BusAddress;

/// Parses the command line. Bad usage is reported and ends the process. Whoever forgot the `--` before a command gets a hint.
pub(crate) fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        if let Some(word) = command_without_dashes(&error) {
            let hint = format!(
                "{error}\nhint: the command that is to be run comes behind --: hotadd run -- {word}"
            );
            hint.lines().for_each(crate::say::note);
            std::process::exit(error.exit_code());
        }
        error.exit()
    })
}

/// The first word that `hotadd run` does not know and that is no option.
fn command_without_dashes(error: &clap::Error) -> Option<String> {
    let runs = std::env::args_os().nth(1).is_some_and(|word| word == "run");
    let ContextValue::String(word) = error.get(ContextKind::InvalidArg)? else { return None };
    (runs && error.kind() == ErrorKind::UnknownArgument && !word.starts_with('-'))
        .then(|| word.clone())
}

/// Adds processors to running programs, with the consent of everybody who must prepare for them.
#[derive(Debug, Parser)]
#[command(name = "hotadd", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command in a partition of this machine's processors that grows while it runs
    Run(Box<Run>),
    /// Show a running partition: its processors, its parties, what is waited for, what was refused
    Status(Ask),
    /// List the parties of a running partition in the order in which they are called, and those that are missing; or start one anew
    Parties(Parties),
    /// Add processors to a running partition, one by one, if everybody agrees
    Add(Change),
    /// Remove processors from a running partition, one by one, if everybody agrees
    Remove(Change),
    /// Ask everybody whether processors could be added, and add nothing
    Rehearse(Change),
    /// Show what has happened in a running partition
    History(History),
    /// Govern this machine's processors, in the foreground: what is plugged in is added if everybody agrees
    Daemon(Daemon),
    /// Look at the daemon's configuration
    #[command(subcommand)]
    Config(Config),
    /// Look at a driver's file without loading it: what it is, what it imports, and whether that is provided
    Inspect(Inspect),
    /// Tell whether something else on this machine brings processors online, and what to do about it
    Doctor(Doctor),
    /// Write the man pages into a folder: hotadd.1, and one for each command
    #[command(hide = true)]
    Man {
        /// The folder, which is there
        dir: PathBuf,
    },
    /// Write the completions for a shell to stdout
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The inside of a driver's own process, which `run` starts
    #[command(hide = true)]
    Host(Box<Host>),
    /// The load that `run` shows without a command: threads that spin, as many as stdin says
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

    /// Time from one change to the next; the first comes right after the command has started, or after this time when
    /// there is none
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = duration)]
    pub(crate) every: Duration,

    /// Ask for no processor and change nothing before the command has run for this long. A runtime (a JVM, Go, OpenMP) sizes itself
    /// by the processors that it sees at its start: with this it sees those of --start, and no other
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) after: Option<Duration>,

    /// What to do with a processor that appears while the command runs, also after --add is done. ask: ask the drivers, and add it if
    /// they agree; report: only say so; no: nothing, it can be added by `hotadd add`
    #[arg(long, value_name = "ask|report|no", default_value = "ask", value_parser = follow)]
    pub(crate) follow: Follow,

    /// How often to look for changes that the kernel does not announce, from 10ms to 1h: the longest that one goes unnoticed
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = poll)]
    pub(crate) poll: Duration,

    /// Simulated processors instead of real ones: ACTIVE+SPARE[,fail-start=LIST][,delay=MS]
    #[arg(long, value_name = "SPEC")]
    pub(crate) simulate: Option<SimulateSpec>,

    /// What keeps the command to its processors: cpuset, a cgroup, which takes root or a cgroup that was delegated; or affinity,
    /// masks, which take nothing [default: cpuset where it can be had]
    #[arg(long, value_name = "WHAT", conflicts_with = "simulate")]
    pub(crate) over: Option<Over>,

    /// A driver that must agree, called in the order given: sample[:veto=LIST][,delay=MS][,level=N][,name=X][,isolated];
    /// exec:PATH[,level=N][,name=X][,timeout=MS][,restart=N][,later] for a program or a folder of programs, which is not run for the
    /// processors to start on if it says later; or a Windows driver's file, .sys or
    /// .so: FILE[,level=N][,name=X][,timeout=MS][,restart=N][,alloc-fail=N][,strict]. While one is missing, because it crashed or
    /// did not answer in time, every add is refused by its name; with ,when-missing=skip it is not asked any more
    #[arg(long = "driver", value_name = "SPEC")]
    pub(crate) drivers: Vec<DriverSpec>,

    /// How long a driver in another process may take over an answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = timeout)]
    pub(crate) timeout: Duration,

    /// Write every event to PATH as JSON, one object a line; - is stdout
    #[arg(long, value_name = "PATH", conflicts_with = "json")]
    pub(crate) events: Option<PathBuf>,

    /// Events to stdout and no board; the command's own stdout goes to stderr
    #[arg(long)]
    pub(crate) json: bool,

    /// Be reachable under this name: for agents, and for `hotadd status`, `add` and the like
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) name: Option<String>,

    /// Be on a message bus under this name too, as org.hotadd.Partition.NAME: session, system or an address
    #[arg(long, value_name = "BUS", value_parser = bus, requires = "name")]
    pub(crate) bus: Option<BusAddress>,

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

    /// How lines look on stderr; otherwise text or, where stderr is the journal's, records of the journal
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// How the daemon's lines look on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// What happened, in words
    Text,
    /// The same as JSON, one object a line, with what it is about
    Json,
}

/// `hotadd config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Say whether the daemon could begin with this configuration, and what is wrong with it
    #[command(after_help = "Exit status: 0 if it could, 1 if not, 2 for bad usage.")]
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
    /// The file: a Windows driver (.sys), or one built natively (.so)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Answer in JSON, as one object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hotadd doctor`.
#[derive(Args, Debug)]
#[command(after_help = DOCTOR_HELP)]
pub(crate) struct Doctor {
    /// Look at the system below DIR
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,

    /// Write into DIR, normally /etc/udev/rules.d, a file for each of udev's that brings processors online: it takes that one's
    /// place, without the rules that do
    #[arg(long, value_name = "DIR")]
    pub(crate) shadow: Option<PathBuf>,

    /// Answer in JSON, as one object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hotadd host`.
#[derive(Args, Debug)]
pub(crate) struct Host {
    /// How long the driver may take over an answer, in milliseconds
    #[arg(long, value_name = "MS")]
    pub(crate) time_limit: u64,

    /// The driver, as `run` was given it
    pub(crate) driver: DriverSpec,
}

/// Which partition to talk to, and how to answer.
#[derive(Args, Debug)]
#[command(after_help = ASK_HELP)]
pub(crate) struct Ask {
    /// The partition's name, or the path of its socket; not needed when there is only one
    #[arg(short, long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) partition: Option<String>,

    /// Look for it on this message bus: session, system or an address
    #[arg(long, value_name = "BUS", value_parser = bus)]
    pub(crate) bus: Option<BusAddress>,

    /// Answer in JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// How long to wait for an answer [default: 5s; what waits for parties, as long as these may take]
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub(crate) timeout: Option<Duration>,
}

/// `hotadd parties`.
#[derive(Args, Debug)]
pub(crate) struct Parties {
    /// Restart this party: end what is left of it and register it again. It must be one of the configuration or of --driver. Nothing
    /// is added until it has registered
    #[arg(long, value_name = "PARTY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) restart: Option<String>,

    #[command(flatten)]
    pub(crate) ask: Ask,
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

/// How much of the history is meant.
#[derive(Args, Debug)]
pub(crate) struct History {
    /// At most so many events, the latest
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000)]
    pub(crate) most: u32,

    #[command(flatten)]
    pub(crate) ask: Ask,
}

const INSPECT_HELP: &str = "\
Exit status: 0 if it can be loaded, 1 if not, 2 for bad usage. A driver that imports what is not provided can be loaded, \
and is stopped when it uses that.";

const DAEMON_HELP: &str = "\
A processor that is plugged in while this runs is added as soon as everybody has agreed; one that is refused stays off until \
somebody asks again, by `hotadd add N`. Takes root, but for simulated processors. SIGTERM and SIGINT end it, and leave the \
processors as they are; SIGHUP has it read its configuration anew.

Exit status: 0 if it was told to end, 1 if it could not begin, 2 for bad usage or a bad configuration.";

const DOCTOR_HELP: &str = "\
Answers: problem, if something brings processors online or would; cannot tell, if nothing of the kind was found and there is \
something that could not be looked at or followed, such as a program behind a variable, an agent that obeys the hypervisor, or an \
initramfs in a form that is not read; clear otherwise.

Exit status: 0 for clear, 1 for problem or if a shadow was refused, 3 for cannot tell; 2 for bad usage.";

const ASK_HELP: &str = "\
Exit status: 0 if all went as asked, 1 if a processor or a party was refused, 2 for bad usage, 3 if there is no such partition, \
or none that is believed: what others could have put there by its name is not; 74 if what it has to say cannot be written, 130 after \
Ctrl-C. Who closes its output is no failure.

A partition that does not answer within 5 s, or --timeout, is an error. Adding, removing, rehearsing and starting a party anew wait for \
parties, which have time limits of their own: after a second who is waited for is shown on stderr. What was asked for goes on in the \
partition when this ends before it.";

const AFTER_HELP: &str = "\
The command starts on some processors, and others join one by one while it runs. Before each joins, every driver is asked; \
if one refuses, that processor stays out. A processor that appears later (plugged in, brought online, gained by the cpuset \
above) is asked for in the same way until the command ends; --follow changes that. A program of exec: is run as PROGRAM STATE ID, \
such as `./ready add-start 1`, and agrees by exit status 0; HOTADD_REPLAY=1 in its environment says that the processor was \
active before it registered. The page on scripts, docs/scripts.md, has the rest. Needs no privileges; with them the command cannot leave its processors. Without a command, a built-in load spins on every active \
processor. LIST is the kernel's form: 0-3,8.

Exit status: the command's own, 128 + the signal's number if a signal killed it; by HUP, INT \
or TERM hotadd ends in the same way, once it has cleaned up. Without a command 0. 1 if the run \
could not begin, 2 for bad usage, 126 if the command may not be run, 127 if there is no such command.

Examples:
  hotadd run                                 this machine's processors join one by one, under load
  hotadd run -- make -j8                     start on one processor, get the others meanwhile
  hotadd run --driver sample:veto=1 --json   one driver refuses processor 1
  hotadd run --simulate 4+60,fail-start=7    not real ones; number 7 will not start";

/// What keeps a command to its processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Over {
    Cpuset,
    Affinity,
}

/// What to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Add {
    All,
    None,
    List(CpuList),
}

fn list(text: &str) -> Result<CpuList, String> {
    let list: CpuList = text.parse().map_err(|error: hotadd::CpuListError| error.to_string())?;
    if list.is_empty() {
        return Err("the list is empty; a list looks like 0-3,8".to_owned());
    }
    Ok(list)
}

fn add(text: &str) -> Result<Add, String> {
    match text {
        "all" => Ok(Add::All),
        "none" => Ok(Add::None),
        _ => list(text).map(Add::List).map_err(|error| format!("{error}; or say all or none")),
    }
}

fn follow(text: &str) -> Result<Follow, String> {
    match text {
        "ask" => Ok(Follow::Ask),
        "report" => Ok(Follow::Report),
        "no" => Ok(Follow::Manual),
        _ => Err("say ask, report or no".to_owned()),
    }
}

fn poll(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_millis(10) || time > Duration::from_secs(60 * 60) {
        return Err("a poll is from 10ms to 1h".to_owned());
    }
    Ok(time)
}
