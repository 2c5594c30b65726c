//! `hotadd watch`: a full-screen view of running partitions, in which a person also adds, removes and rehearses.
//!
//! The [`feed`] asks the partitions on a thread of its own, another thread reads the keys, and a third one writes to the terminal. What
//! they report comes together here: it changes the [`model`], which the [`view`] draws. So neither a partition that does not answer
//! nor a slow terminal makes the user wait.

mod cursor;
mod details;
mod feed;
mod input;
mod layout;
mod map;
mod model;
mod party;
mod screen;
mod signals;
mod state;
#[cfg(test)]
mod tests;
mod view;

use std::cell::OnceCell;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use ratatui::crossterm::event::{self, Event};
use ratatui::layout::Size;

use self::feed::Feed;
use self::input::Command;
use self::model::{Model, Update};
use self::screen::Screen;
use self::signals::Caught;
use crate::args::Watch;
use crate::ask;
use crate::ask::client::Client;
use crate::ask::failure::Failure;
use crate::say;
use crate::tui::Ink;

/// The shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(100);

/// How long nothing may be drawn: times go on.
const TICK: Duration = Duration::from_millis(500);

/// How long a partition may take to accept a connection at the beginning.
const PATIENCE: Duration = Duration::from_secs(5);

/// The exit status of a command that was ended by a signal, less the signal's number.
const SIGNALLED: u8 = 128;

/// What the threads report.
enum Message {
    Input(Event),
    /// The terminal is gone.
    Gone,
    Signal(Caught),
    Update(usize, Update),
}

/// How the view ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Quit,
    Signal(u8),
}

/// Shows the view until the user ends it. Returns the exit status.
pub(crate) fn run(watch: &Watch) -> ExitCode {
    let ended = check_terminal().and_then(|()| names(watch)).and_then(|names| {
        let mut requests = Vec::new();
        let end = show(names, watch, &mut requests);
        // On the screen that the shell uses.
        for request in requests {
            say::wrong(format!("{request} continues in the partition"));
        }
        end.map_err(|error| Failure::Broken(format!("the terminal cannot be used: {error}")))
    });
    match ended {
        Ok(End::Quit) => ExitCode::SUCCESS,
        Ok(End::Signal(number)) => ExitCode::from(SIGNALLED + number),
        Err(failure) => ask::report(Err(failure.into())),
    }
}

fn check_terminal() -> Result<(), Failure> {
    let instead = "`hotadd history --follow` prints events as lines";
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::Usage(format!("hotadd watch needs a terminal; {instead}")));
    }
    if std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        return Err(Failure::Usage(format!(
            "hotadd watch cannot draw on this terminal, which is dumb (TERM); {instead}"
        )));
    }
    Ok(())
}

/// The partitions to watch. Each one that was named must be running.
fn names(watch: &Watch) -> Result<Vec<String>, Failure> {
    let broken = |error: io::Error| Failure::Broken(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let bus = watch.bus.as_ref();
    runtime.map_err(broken)?.block_on(async {
        let mut names = Vec::new();
        let wanted = match watch.names.is_empty() {
            true => Client::names(bus, say::wrong).await?,
            false => watch.names.clone(),
        };
        let mut last = None;
        for name in wanted {
            let listens = OnceCell::new();
            let connecting = Client::connect(bus, Some(&name), &listens, say::wrong);
            match tokio::time::timeout(PATIENCE, connecting).await {
                Ok(Err(why)) if !watch.names.is_empty() => return Err(why),
                // A socket that an earlier partition has left behind.
                Ok(Err(why)) => last = Some(why),
                // The view says that it does not answer.
                Ok(Ok(_)) | Err(_) if names.contains(&name) => {}
                Ok(Ok(_)) | Err(_) => names.push(name),
            }
        }
        match last {
            Some(why) if names.is_empty() => Err(why),
            _ => Ok(names),
        }
    })
}

/// Shows the view. `requests` are those that had no answer at its end.
fn show(names: Vec<String>, watch: &Watch, requests: &mut Vec<String>) -> io::Result<End> {
    let (sender, messages) = mpsc::channel();
    let mut model = Model::new(&names, Screen::size()?, TimeZone::system());
    let feed = Feed::start(names, watch.bus.clone(), sender.clone())?;
    let mut screen = Screen::open()?;
    read_keys(sender)?;
    let ended = attend(&mut model, &mut screen, &feed, &messages);
    requests.extend(model.watched.iter().flat_map(|watched| {
        watched.running.iter().map(|action| format!("{} in {}", action.verb(), watched.name))
    }));
    screen.close()?;
    ended
}

/// Reads the terminal on a thread of its own, which ends with the process.
fn read_keys(messages: Sender<Message>) -> io::Result<()> {
    let read = move || loop {
        let message = event::read().map_or(Message::Gone, Message::Input);
        let gone = matches!(message, Message::Gone);
        if messages.send(message).is_err() || gone {
            return;
        }
    };
    std::thread::Builder::new().name("hotadd-keys".to_owned()).spawn(read)?;
    Ok(())
}

fn attend(
    model: &mut Model,
    screen: &mut Screen,
    feed: &Feed,
    messages: &Receiver<Message>,
) -> io::Result<End> {
    let ink = Ink::of_environment();
    let mut drawn: Option<Instant> = None;
    let mut due = true;
    loop {
        let since = drawn.map_or(FRAME, |drawn| drawn.elapsed());
        let wait = if due { FRAME } else { TICK }.saturating_sub(since);
        match messages.recv_timeout(wait) {
            Ok(message) => {
                due = true;
                // All updates that have arrived are drawn at once.
                for message in std::iter::once(message).chain(messages.try_iter()) {
                    if let Some(end) = take(model, screen, feed, message)? {
                        return Ok(end);
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => due = true,
            Err(RecvTimeoutError::Disconnected) => return Ok(End::Quit),
        }
        if feed.is_over() {
            return Err(io::Error::other("the thread that asks the partitions has ended"));
        }
        if due && drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
            let now = Instant::now();
            due = !screen.draw(view::render(model, now, ink))?;
            drawn = Some(now);
        }
    }
}

/// Takes a message. Returns how the view ends, if it does.
fn take(
    model: &mut Model,
    screen: &mut Screen,
    feed: &Feed,
    message: Message,
) -> io::Result<Option<End>> {
    let command = match message {
        Message::Update(nth, update) => {
            model.take(nth, update, Instant::now());
            None
        }
        Message::Input(Event::Key(key)) => input::key(model, key),
        Message::Input(Event::Resize(width, height)) => {
            model.size = Size { width, height };
            None
        }
        Message::Input(_) => None,
        Message::Gone => return Ok(Some(End::Signal(1))),
        Message::Signal(Caught::End(number)) => return Ok(Some(End::Signal(number))),
        Message::Signal(Caught::Stop) => Some(Command::Suspend),
    };
    match command {
        Some(Command::Quit) => return Ok(Some(End::Quit)),
        Some(Command::Interrupt) => return Ok(Some(End::Signal(2))),
        Some(Command::Suspend) => {
            screen.suspend()?;
            // The window may have another size now.
            model.size = Screen::size()?;
        }
        Some(Command::Redraw) => screen.forget(),
        Some(Command::Act(nth, action)) => feed.act(nth, action),
        None => {}
    }
    Ok(None)
}
