//! `hotadd daemon`: the machine's processors, governed in the foreground. What is plugged in is added if everybody agrees.

pub(crate) mod config;
mod decided;
#[cfg(feature = "fault-points")]
mod fault;
mod hardware;
mod keeper;
mod log;
mod manager;
mod opening;
mod plug;
mod pulse;
mod reload;
mod whereabouts;

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::Sender;

use hotadd::Event;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::config::{Config, FILE};
use self::log::Log;
use self::manager::Manager;
use crate::args::Daemon;
use crate::say;
use crate::view::Weight;

/// Where the machine's partition is found.
pub(crate) const RUN: &str = "/run/hotadd";

const CANNOT_BEGIN: u8 = 1;
const USAGE: u8 = 2;

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

/// Says whether a configuration will do. Returns the exit status.
pub(crate) fn check(file: Option<&Path>) -> ExitCode {
    match Config::load(file) {
        Ok(config) => {
            let file = file.unwrap_or(Path::new(FILE));
            let place = config.check_place().err().map(|why| format!("service.socket: {why}"));
            if let Some(wrong) = config.unusable().or(place) {
                say::note(format!("{}: {wrong}", file.display()));
                return ExitCode::FAILURE;
            }
            say::line(format!("{}: ok", file.display()));
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            say::note(&wrong);
            ExitCode::FAILURE
        }
    }
}

/// Runs it. Returns the exit status.
pub(crate) fn run(args: &Daemon) -> ExitCode {
    let log = Log::new(args.log_format);
    let begun = Config::load(args.config.as_deref()).map_err(|wrong| (USAGE, wrong));
    let begun = begun.and_then(|config| {
        let manager = Manager::begin(args.config.clone(), config, log.clone());
        manager.map_err(|why| (CANNOT_BEGIN, why))
    });
    let ended = begun.and_then(|manager| manager.conduct().map_err(|why| (CANNOT_BEGIN, why)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            log.line(Weight::Bad, &format!("hotadd: {why}"));
            ExitCode::from(code)
        }
    }
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
