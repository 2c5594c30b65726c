//! [`Load`]: the driver that registers for the built-in load, which runs in a [process of its own](crate::workload).

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use hotadd::{Driver, HardwareId, Notice, Removal, Status, Veto};

use crate::message::Message;

/// The time limit of an answer of the load.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the load prepare a thread before a processor joins, and end it before the processor leaves.
#[derive(Debug)]
pub(crate) struct Load {
    /// Closing it ends the load.
    orders: ChildStdin,
    answers: Receiver<String>,
}

impl Load {
    /// Starts listening to the load's process: its rates go to `messages`.
    pub(crate) fn listen(
        orders: ChildStdin,
        answers: ChildStdout,
        messages: Sender<Message>,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let listen = move || {
            for line in BufReader::new(answers).lines().map_while(Result::ok) {
                let heard = match line.strip_prefix("rates") {
                    Some(rates) => messages.send(Message::Rates(parse(rates).collect())).is_ok(),
                    None => sender.send(line).is_ok(),
                };
                if !heard {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("hotadd-load".to_owned()).spawn(listen)?;
        Ok(Self { orders, answers: receiver })
    }

    fn ask(&mut self, order: &str, id: HardwareId) -> Result<(), Veto> {
        writeln!(self.orders, "{order} {id}")?;
        match self.answers.recv_timeout(PATIENCE) {
            Ok(answer) if answer == "ok" => Ok(()),
            Ok(answer) => Err(answer.strip_prefix("no ").unwrap_or(&answer).to_owned().into()),
            Err(RecvTimeoutError::Timeout) => {
                Err(Veto::new(Status::IO_TIMEOUT, format!("no answer in {} s", PATIENCE.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Veto::new(Status::PIPE_BROKEN, "its process has ended"))
            }
        }
    }
}

impl Driver for Load {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.ask("prepare", notice.processor().id)
    }

    fn add_complete(&mut self, notice: &Notice) {
        // If its process has ended, that is reported elsewhere.
        let _ = writeln!(self.orders, "go {}", notice.processor().id);
    }

    fn add_failure(&mut self, notice: &Notice) {
        let _ = self.ask("stop", notice.processor().id);
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for Load {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.ask("stop", notice.processor().id)
    }

    fn remove_failure(&mut self, notice: &Notice) {
        let id = notice.processor().id;
        if self.ask("prepare", id).is_ok() {
            let _ = writeln!(self.orders, "go {id}");
        }
    }
}

/// Parses a line of rates. Malformed parts are skipped.
fn parse(line: &str) -> impl Iterator<Item = (HardwareId, f64)> {
    line.split_whitespace().filter_map(|part| {
        let (id, rate) = part.split_once(':')?;
        Some((HardwareId(id.parse().ok()?), rate.parse().ok()?))
    })
}
