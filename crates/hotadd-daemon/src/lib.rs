//! The machine's partition manager: it governs the machine's processors, and adds plugged-in processors if all parties agree.
//!
//! [`run`] is the daemon, in the foreground: it reads its configuration, registers the parties that this names, listens at a
//! socket, and ends on a signal. [`check`] says whether a configuration is valid.
//!
//! The crate also has what both the daemon and a run of a command need: [the syntax of the operator's drivers](spec), [those
//! drivers](parties) as they are registered and restarted, [the process](host) in which such a driver runs, [what a person is
//! shown](view), and [traces](trace).
//!
//! A program that uses this crate must have the command `host` of `hotadd`, which calls [`host::run`]: a driver in a process of its
//! own is started with it, from the file of the running program.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod config;
pub mod degraded;
pub mod descriptors;
mod events;
#[cfg(debug_assertions)]
mod fault;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hardware;
pub mod host;
mod log;
mod manager;
mod notify;
mod opening;
pub mod parties;
mod plug;
mod reload;
pub mod spec;
mod state_file;
pub mod trace;
pub mod values;
pub mod view;
mod watchdog;
mod whereabouts;

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::config::Config;
pub use self::config::FILE;
use self::log::Log;
pub use self::log::LogFormat;
use self::manager::Manager;
use self::view::Weight;

/// The folder of the machine's partition.
pub const RUN: &str = "/run/hotadd";

/// Why the daemon ended without being told to. The log has the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its configuration is wrong.
    Configuration,
    /// It could not start.
    CannotBegin,
}

/// Messages of the other threads to the main thread.
enum Message {
    /// There are events to take from [`Events`](events::Events).
    Events,
    /// A peer was refused or disconnected.
    Turned(String),
    /// A signal to end.
    Signal,
    /// A signal to reload the configuration.
    Reload,
    /// The parties of the configuration have registered or are missing. The error says why the daemon cannot start.
    Registered(Result<(), String>),
    /// A new configuration is in force. The error says why one of its parties did not register.
    Reloaded(Result<Box<Config>, String>),
    /// Lines were left out of the log; their number is to be logged later.
    LeftOut,
    /// All parties are deregistered, and their processes have ended.
    Left,
}

/// Checks a configuration: that of `file`, or the usual one.
///
/// # Errors
/// What is wrong with the configuration, and where.
pub fn check(file: Option<&Path>) -> Result<(), String> {
    let config = Config::load(file)?;
    let place = || config.check_place().err().map(|why| format!("service.socket: {why}"));
    match config.unusable().or_else(place) {
        Some(wrong) => Err(format!("{}: {wrong}", file.unwrap_or(Path::new(FILE)).display())),
        None => Ok(()),
    }
}

/// Runs the daemon with the configuration of `file`, or the usual one, until a signal tells it to end. `trace` is used in place of
/// the file of the configuration. Must be called once in a process.
///
/// # Errors
/// It could not start; the log has the reason.
pub fn run(
    file: Option<PathBuf>,
    format: Option<LogFormat>,
    trace: Option<PathBuf>,
) -> Result<(), Failure> {
    let log = Log::new(format);
    let cannot_begin = |why| (Failure::CannotBegin, why);
    let begun = Config::load(file.as_deref()).map_err(|wrong| (Failure::Configuration, wrong));
    let ended = begun.and_then(|config| {
        let manager = Manager::begin(file, config, log.clone(), trace).map_err(cannot_begin)?;
        manager.conduct().map_err(cannot_begin)
    });
    ended.map_err(|(failure, why)| {
        log.line(Weight::Bad, &format!("hotadd: {why}"));
        failure
    })
}

/// Sends a message for each signal.
fn listen(messages: Sender<Message>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("hotadd-signals".to_owned()).spawn(move || {
        for signal in &mut signals {
            let message = if signal == SIGHUP { Message::Reload } else { Message::Signal };
            if messages.send(message).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// The example of this crate's README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
