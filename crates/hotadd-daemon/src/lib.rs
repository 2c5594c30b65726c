//! The machine's partition manager: it governs the machine's processors, and adds what is plugged in if everybody agrees.
//!
//! [`run`] is the daemon, in the foreground: it reads its configuration, registers the parties that this names, listens at a socket, and
//! ends when a signal says so. [`check`] says whether a configuration will do.
//!
//! What the daemon and a run of a command both need is here too: [how the drivers are written](spec) that an operator names, [those
//! drivers](parties) as they are registered and started anew, and [what a person is told](view).
//!
//! A program that uses this crate needs the command `host` of `hotadd`: a driver in a process of its own is started by that, from the file
//! of the running program.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod config;
pub mod degraded;
pub mod descriptors;
#[cfg(feature = "fault-points")]
mod fault;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hardware;
mod log;
mod manager;
mod opening;
pub mod parties;
mod plug;
mod reload;
pub mod spec;
mod state_file;
pub mod values;
pub mod view;
mod watchdog;
mod whereabouts;

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use hotadd::Event;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::config::Config;
pub use self::config::FILE;
use self::log::Log;
pub use self::log::LogFormat;
use self::manager::Manager;
use self::view::Weight;

/// Where the machine's partition is found.
pub const RUN: &str = "/run/hotadd";

/// Why the daemon ended without being told to. Its log has the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its configuration is wrong.
    Configuration,
    /// It could not begin.
    CannotBegin,
}

/// What the main thread hears from the others.
enum Message {
    Event(Box<Event>),
    /// Somebody was turned away or disconnected.
    Turned(String),
    /// We are told to end.
    Signal,
    /// We are told to read the configuration anew.
    Reload,
    /// The parties of the configuration have registered or are missing, or what keeps the daemon from beginning.
    Registered(Result<(), String>),
    /// A new configuration is in force, or what kept one of its parties from registering.
    Reloaded(Result<Box<Config>, String>),
    /// Lines were left out of the log, which is to be said later.
    LeftOut,
    /// All of them are deregistered, and their processes gone.
    Left,
}

/// Says whether a configuration will do: that of `file`, or the usual one.
///
/// # Errors
/// What is wrong with it, and where.
pub fn check(file: Option<&Path>) -> Result<(), String> {
    let config = Config::load(file)?;
    let place = || config.check_place().err().map(|why| format!("service.socket: {why}"));
    match config.unusable().or_else(place) {
        Some(wrong) => Err(format!("{}: {wrong}", file.unwrap_or(Path::new(FILE)).display())),
        None => Ok(()),
    }
}

/// Runs the daemon with the configuration of `file`, or the usual one, until a signal tells it to end. To be called once in a process.
///
/// # Errors
/// It could not begin, which its log says.
pub fn run(file: Option<PathBuf>, format: Option<LogFormat>) -> Result<(), Failure> {
    let log = Log::new(format);
    let cannot_begin = |why| (Failure::CannotBegin, why);
    let begun = Config::load(file.as_deref()).map_err(|wrong| (Failure::Configuration, wrong));
    let ended = begun.and_then(|config| {
        let manager = Manager::begin(file, config, log.clone()).map_err(cannot_begin)?;
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
