//! Signals to this process, as messages.

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::Sender;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::Cause;

use crate::message::{Message, Received};

/// Ends this process with this exit status. If the status stands for a signal that asks a program to end, the process ends by
/// that signal: a service manager takes that for a clean stop, and a shell stops its script.
#[must_use]
pub fn end_with(code: i32) -> ExitCode {
    if [SIGHUP, SIGINT, SIGTERM].contains(&(code - 128)) {
        // If this fails, the exit status says the same.
        let _ = emulate_default_handler(code - 128);
    }
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Sends a message for every signal from now on.
pub(crate) fn listen(messages: Sender<Message>) -> io::Result<()> {
    let all = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];
    let mut signals = SignalsInfo::<WithOrigin>::new(all)?;
    std::thread::Builder::new().name("hotadd-signals".to_owned()).spawn(move || {
        for origin in &mut signals {
            let from_terminal = origin.cause == Cause::Kernel;
            let received = Received { number: origin.signal, from_terminal };
            if messages.send(Message::Signal(received)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
