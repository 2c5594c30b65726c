//! QEMU's control channel, for operations from outside of the guest, such as plugging in a processor.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Error;
use crate::console::Console;

const LIMIT: Duration = Duration::from_secs(60);

/// The control channel. Locked while a command waits for its answer.
pub(crate) struct Qmp {
    to: Mutex<UnixStream>,
    heard: Arc<Heard>,
    console: Console,
    /// The file with QEMU's output.
    said: PathBuf,
}

#[derive(Default)]
struct Heard {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    answers: VecDeque<Value>,
    events: Vec<Value>,
    over: bool,
}

impl Qmp {
    /// Starts the protocol on a new connection.
    pub(crate) fn meet(stream: UnixStream, console: Console, said: PathBuf) -> Result<Qmp, Error> {
        let from = stream.try_clone().map_err(Error::here("QEMU's control channel"))?;
        let heard = Arc::new(Heard::default());
        let shared = heard.clone();
        let listen = thread::Builder::new().name("lab-qmp".into());
        // The thread ends with the connection, which ends with QEMU.
        listen
            .spawn(move || {
                shared.listen(from);
                shared.state().over = true;
                shared.more.notify_all();
            })
            .map_err(Error::here("a thread for QEMU's control channel"))?;
        let qmp = Qmp { to: Mutex::new(stream), heard, console, said };
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command.
    #[expect(clippy::needless_pass_by_value, reason = "it is nearly always made by json! in place")]
    pub(crate) fn execute(&self, command: &str, arguments: Value) -> Result<Value, Error> {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        if to.write_all(line.as_bytes()).is_err() {
            return Err(self.lost(command));
        }
        let answer = self.heard.wait(LIMIT, |state| state.answers.pop_front());
        let Some(mut answer) = answer else { return Err(self.lost(command)) };
        match answer.get_mut("return") {
            Some(value) => Ok(value.take()),
            None => Err(Error::Qemu {
                command: command.to_owned(),
                reason: answer["error"]["desc"].as_str().unwrap_or("no reason given").to_owned(),
            }),
        }
    }

    /// All events so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.heard.state().events.clone()
    }

    /// The first matching event from an index on, if it comes in time.
    pub(crate) fn event<T>(
        &self,
        from: usize,
        limit: Duration,
        wanted: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        self.heard.wait(limit, |state| state.events.iter().skip(from).find_map(&wanted))
    }

    fn lost(&self, command: &str) -> Error {
        let did = if self.heard.state().over { "ended at" } else { "did not answer" };
        let said = std::fs::read_to_string(&self.said).unwrap_or_default();
        Error::Lost {
            what: format!("has a QEMU that {did} {command} and said {said:?}"),
            console: self.console.tail(),
        }
    }
}

impl Heard {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, from: UnixStream) {
        let lines = BufReader::new(from).lines();
        for line in lines.map_while(io::Result::ok) {
            let Ok(value) = serde_json::from_str::<Value>(&line) else { return };
            let mut state = self.state();
            if value.get("event").is_some() {
                state.events.push(value);
            } else if value.get("QMP").is_none() {
                state.answers.push_back(value);
            }
            drop(state);
            self.more.notify_all();
        }
    }

    fn wait<T>(&self, limit: Duration, mut find: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let mut found = None;
        let missing = |state: &mut State| {
            found = find(state);
            found.is_none() && !state.over
        };
        drop(self.more.wait_timeout_while(self.state(), limit, missing));
        found
    }
}
