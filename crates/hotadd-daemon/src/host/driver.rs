//! Hosts a driver's file: reads it, sets up the sandbox, and runs the driver from DriverEntry to Unload.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use hotadd::{Partition, Status};
use hotadd_nt::{Driver, File, Options, World, pool, sandbox};

use super::reporter::Reporter;
use crate::spec::{DriverSpec, FileSpec};

/// How much longer than its time limit an unload is waited for. By then it has been reported, with its place.
const GRACE: Duration = Duration::from_secs(2);

/// Hosts a driver until the partition's process closes its end. Returns the exit status.
pub(super) fn host(
    spec: &DriverSpec,
    file: &FileSpec,
    limit: Duration,
    socket: UnixStream,
    report: UnixStream,
) -> ExitCode {
    let Ok(heard) = report.try_clone() else { return ExitCode::FAILURE };
    let reporter = Reporter::new(report);
    report_panics(&reporter);
    let loaded =
        load(file, &reporter).and_then(|driver| Ok((driver, listen(heard, limit, &reporter)?)));
    let (driver, end) = match loaded {
        Ok(loaded) => loaded,
        Err(reason) => return refuse(&reporter, &reason),
    };
    // Not on the first thread: the end of that thread's stack is read from a file, which cannot be opened any more.
    let thread = std::thread::Builder::new().name("hotadd-driver".to_owned());
    let (name, level, said) = (spec.name.clone(), spec.level, reporter.clone());
    let alloc_fail = file.alloc_fail;
    let live = move || match connect(socket, &name, level, limit, &said).and_then(|()| {
        pool::fail_at(alloc_fail);
        driver.begin().map_err(|error| error.to_string())
    }) {
        Ok(driver) => {
            said.word("ok");
            // Returns when this process is to end, or when its parent has ended.
            let _ = end.recv();
            unload(driver, &said);
            ExitCode::SUCCESS
        }
        Err(reason) => refuse(&said, &reason),
    };
    match thread.spawn(live) {
        // No panic arrives here: a panic has ended the process.
        Ok(thread) => thread.join().unwrap_or(ExitCode::FAILURE),
        Err(error) => refuse(&reporter, &format!("the driver's thread cannot be started: {error}")),
    }
}

/// Reports that the driver is not loaded.
fn refuse(reporter: &Reporter, reason: &str) -> ExitCode {
    reporter.say("no", reason);
    ExitCode::FAILURE
}

/// A panic is a bug in this program, or a driver has damaged this process's memory. In both cases the process must not continue.
/// The usual report would open files, which the sandbox forbids.
fn report_panics(reporter: &Reporter) {
    let reporter = reporter.clone();
    std::panic::set_hook(Box::new(move |panic| {
        reporter.end(
            Status::DRIVER_INTERNAL_ERROR,
            format_args!("internal error in the driver's host: {panic}"),
        );
        std::process::abort();
    }));
}

/// Reads the file into memory and sets up the sandbox, which leaves the driver no means to do harm.
fn load(spec: &FileSpec, reporter: &Reporter) -> Result<Driver, String> {
    // Before the sandbox, in which no file can be opened.
    let file = File::read(&spec.path).map_err(|error| error.to_string())?;
    let failed = |error: sandbox::SandboxError| error.to_string();
    sandbox::drop_privileges().map_err(failed)?;
    if reporter.is_alone() {
        // The parent ended before the kernel knew that this process is to end with it.
        std::process::exit(1);
    }
    let teller = reporter.clone();
    let tell = Box::new(move |status, what: std::fmt::Arguments<'_>| teller.end(status, what));
    sandbox::restrict(tell).map_err(failed)?;
    let driver = file.load(Options { strict: spec.strict }).map_err(|error| error.to_string())?;
    sandbox::confine().map_err(failed)?;
    Ok(driver)
}

/// Waits until this process is to end. If the driver has not unloaded in time, the process ends anyway.
fn listen(
    mut heard: UnixStream,
    limit: Duration,
    reporter: &Reporter,
) -> Result<Receiver<()>, String> {
    let (sender, end) = channel();
    let reporter = reporter.clone();
    let listen = move || {
        // Nothing is ever sent here: the read returns when the peer closes.
        let _ = heard.read(&mut [0]);
        let _ = sender.send(());
        std::thread::sleep(limit + GRACE);
        let took = limit.as_millis();
        reporter.end(Status::IO_TIMEOUT, format_args!("did not unload within {took} ms"));
        std::process::exit(1);
    };
    let thread = std::thread::Builder::new().name("hotadd-end".to_owned());
    thread.spawn(listen).map_err(|error| error.to_string())?;
    Ok(end)
}

/// Connects to the partition, which serves the driver from then on.
fn connect(
    socket: UnixStream,
    name: &str,
    level: i32,
    limit: Duration,
    reporter: &Reporter,
) -> Result<(), String> {
    let partition = Partition::connect_over(socket).map_err(|error| error.to_string())?;
    let real = matches!(partition.hardware(), "affinity" | "cpuset");
    let world = World {
        partition,
        name: name.to_owned(),
        time_limit: limit,
        level,
        real,
        console: Box::new(reporter.clone()),
    };
    world.begin().map_err(|_| "this process already hosts a driver".to_owned())
}

/// Calls DriverUnload, and reports what the driver left behind (L2, D4).
fn unload(driver: Driver, reporter: &Reporter) {
    match driver.unload() {
        Ok(report) => {
            let word = if report.pool.total.blocks == 0 { "unloaded" } else { "left" };
            reporter.say(word, &report.to_string());
        }
        Err((driver, stays)) => {
            reporter.say("unloaded", &stays.to_string());
            // The driver stays in memory until the process ends, which follows.
            std::mem::forget(driver);
        }
    }
}
