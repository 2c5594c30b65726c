//! Runs inside a driver's own process, as `hotadd host`. [`hotadd_service::host`] starts it, with a socket to the partition as its
//! stdin and a socket for reports as its stdout.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod driver;
mod faults;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod reporter;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use hotadd::{Partition, Registration};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use self::faults::Faulty;
use crate::spec::{DriverSpec, What};

/// How long deregistering may take once the partition's process has closed its end.
const GRACE: Duration = Duration::from_secs(1);

/// Runs the driver until the partition's process closes its end. Returns the exit status.
///
/// # Errors
/// This process was not started as a host; the error says why.
pub fn run(spec: &DriverSpec, limit: Duration) -> Result<ExitCode, String> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    hotadd_nt::sandbox::close_inherited().map_err(|error| error.to_string())?;
    let (socket, report) = take_sockets()
        .map_err(|error| format!("`hotadd host` is started by `hotadd run`: {error}"))?;
    Ok(match &spec.what {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        What::File(file) => driver::host(spec, file, limit, socket, report),
        #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
        What::File(_) => {
            let why = "no Windows drivers need x86-64 Linux, and this is another system";
            // The process that started this one may have ended.
            let _ = writeln!(&report, "{why}");
            ExitCode::FAILURE
        }
        _ => host_sample(spec, limit, socket, report),
    })
}

fn host_sample(
    spec: &DriverSpec,
    limit: Duration,
    socket: UnixStream,
    mut report: UnixStream,
) -> ExitCode {
    // Some samples crash on purpose, so no core is dumped.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // Some samples hang on purpose; this works without their help. If the parent has already ended, the connection shows that.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let registered = register(spec, limit, socket);
    let said = match &registered {
        Ok((registration, _)) => writeln!(report, "party {}\nok", registration.party().id.0),
        Err(reason) => writeln!(report, "no {}", reason.replace('\n', " ")),
    };
    if said.is_err() || registered.is_err() {
        return ExitCode::FAILURE;
    }
    // Nothing is ever sent here: the read ends when this process is to end, or when its parent has ended.
    let _ = report.read(&mut [0]);
    let end = || {
        std::thread::sleep(GRACE);
        // The driver is still in its callback, and deregistering waits for that.
        std::process::exit(1);
    };
    let _ = std::thread::Builder::new().spawn(end);
    drop(registered);
    ExitCode::SUCCESS
}

/// Registers the driver. The partition's handle keeps the connection.
fn register(
    spec: &DriverSpec,
    limit: Duration,
    socket: UnixStream,
) -> Result<(Registration, Partition), String> {
    let What::Sample(sample) = &spec.what else {
        return Err("on this system only a sample can run in a host".to_owned());
    };
    let raw = socket.try_clone().map_err(|error| error.to_string())?;
    // Faults do not happen in the replay unless the specification says so.
    let replay = sample.replay;
    let driver = Faulty::new(sample.sample(), sample.faults.clone(), raw, replay, limit);
    let partition = Partition::connect_over(socket).map_err(|error| error.to_string())?;
    let party = partition.registration(&spec.name).level(spec.level).time_limit(limit);
    let registration = party.register(driver).map_err(|error| error.to_string())?;
    Ok((registration, partition))
}

/// Takes the sockets from stdin and stdout, and replaces these with what programs expect.
fn take_sockets() -> io::Result<(UnixStream, UnixStream)> {
    let take = |at: &dyn Fn() -> io::Result<OwnedFd>| {
        let taken = UnixStream::from(at()?);
        // Fails unless this is a socket: only a socket has a peer.
        taken.peer_addr().map(|_| taken)
    };
    let socket = take(&|| io::stdin().as_fd().try_clone_to_owned())?;
    let report = take(&|| io::stdout().as_fd().try_clone_to_owned())?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok((socket, report))
}
