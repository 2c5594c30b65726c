//! `hotadd run`: a command in a partition of processors that grows while it runs.

mod output;

use std::path::Path;
use std::process::ExitCode;

use hotadd_run::Options;

use self::output::Output;
use crate::args::Run;
use crate::say;

/// Performs the run. Returns the exit status.
pub(crate) fn run(args: Run) -> ExitCode {
    let stdout = Path::new("-").to_owned();
    let events = if args.json { Some(stdout) } else { args.events };
    let (people, command) = (!args.json, !args.command.is_empty());
    let options = Options {
        start: args.start,
        add: args.add,
        remove: args.remove,
        every: args.every,
        after: args.after,
        follow: args.follow,
        poll: args.poll,
        simulate: args.simulate,
        over: args.over,
        drivers: args.drivers,
        timeout: args.timeout,
        name: args.name,
        bus: args.bus,
        command: args.command,
        fail_on: args.fail_on.unwrap_or_default(),
        metrics: args.metrics,
        trace: args.trace,
        to_stderr: events.as_deref() == Some(Path::new("-")),
    };
    let events = events.as_deref();
    let code = hotadd_run::run(&options, |view| Output::open(events, people, command, view));
    let code = code.unwrap_or_else(|why| {
        say::wrong(why.reason);
        why.code.into()
    });
    hotadd_run::end_with(code)
}
