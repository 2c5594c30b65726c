//! [`Talk`]: asks a running partition one question after the other, over its socket or a bus.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use hotadd_wire::{Decode, Encode, WaitingRow};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::client::{Client, broken};
use super::failure::Failure;
use super::patience::{Over, Patience, silent};
use super::progress::Progress;
use crate::args::Ask;
use crate::say;

/// After how long a waiting user is shown what the command waits for, and how often afterwards.
const FIRST: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(500);

/// A connection to a running partition.
pub(super) struct Talk {
    runtime: Runtime,
    client: Client,
    patience: Patience,
}

impl Talk {
    /// Connects to the requested partition or, if none is named, to the only one that exists.
    pub(super) fn with(ask: &Ask) -> Result<Self, Failure> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().map_err(|e| broken(&e))?;
        let partition = ask.partition.as_deref();
        let patience = runtime.block_on(async { Patience::new(ask.timeout) });
        let patience = patience.map_err(|e| broken(&e))?;
        let process = OnceCell::new();
        let connecting = Client::connect(ask.bus.as_ref(), partition, &process, say::wrong);
        let connected = runtime.block_on(patience.wait(patience.end(), connecting));
        let process = process.into_inner();
        let client = match connected {
            Ok(connected) => connected?,
            Err(Over::Interrupted) => return Err(Failure::Interrupted(None)),
            Err(Over::Late) => {
                return Err(Failure::Silent(silent(process.as_ref(), patience.limit())));
            }
        };
        Ok(Self { runtime, client, patience })
    }

    /// Calls a method that waits for no party, and waits for its reply.
    pub(super) fn call<R: Decode>(
        &self,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<R, Failure> {
        self.call_until(self.patience.end(), method, arguments)
    }

    /// The same with the whole time limit for this call, in a command that makes calls for as long as the user likes.
    pub(super) fn call_anew<R: Decode>(
        &self,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<R, Failure> {
        self.call_until(Some(Instant::now() + self.patience.limit()), method, arguments)
    }

    fn call_until<R: Decode>(
        &self,
        until: Option<Instant>,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<R, Failure> {
        self.runtime.block_on(async {
            match self.patience.wait(until, self.client.ask(method, arguments)).await {
                Ok(answer) => answer,
                Err(Over::Interrupted) => Err(Failure::Interrupted(None)),
                Err(Over::Late) => Err(self.silent().await),
            }
        })
    }

    /// Waits for this long.
    pub(super) fn pause(&self, time: Duration) -> Result<(), Failure> {
        let waited = self
            .runtime
            .block_on(async { self.patience.wait(None, tokio::time::sleep(time)).await });
        waited.map_err(|_| Failure::Interrupted(None))
    }

    /// Calls a method that waits for parties, for as long as these may take. Meanwhile the calls under way are regularly shown. If
    /// these cannot be had, the partition does not answer.
    pub(super) fn call_and_watch<R: Decode>(
        &self,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<R, Failure> {
        let mut progress = Progress::default();
        // Until the partition has answered something, it is unknown whether it has read the request.
        let answers = Cell::new(false);
        let goes_on = || {
            let what = match answers.get() {
                true => "the request continues in the partition",
                false => "the partition may or may not carry out the request",
            };
            format!("{what}; `hotadd status` and `hotadd history` show its outcome")
        };
        let watching = async {
            tokio::time::sleep(FIRST).await;
            loop {
                let until = Instant::now() + self.patience.limit();
                match tokio::time::timeout_at(
                    until,
                    self.client.ask::<Vec<WaitingRow>>("GetWaiting", &()),
                )
                .await
                {
                    Ok(Ok(waiting)) => {
                        answers.set(true);
                        progress.show(&waiting);
                    }
                    // The answer is only for display. A refusal also shows that the partition answers.
                    Ok(Err(_)) => answers.set(true),
                    Err(_) => return self.silent().await,
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        let answer = self.runtime.block_on(async {
            let answer = async {
                tokio::select! {
                    biased;
                    answer = self.client.ask(method, arguments) => answer,
                    silent = watching => Err(silent),
                }
            };
            match self.patience.wait(self.patience.end_with_parties(), answer).await {
                Ok(Err(Failure::Silent(why))) => {
                    let unknown = "the request may or may not have been carried out";
                    Err(Failure::Silent(format!("{why}; {unknown}")))
                }
                Ok(answer) => answer,
                Err(Over::Interrupted) => Err(Failure::Interrupted(Some(goes_on()))),
                Err(Over::Late) => {
                    let within = humantime::format_duration(self.patience.limit());
                    Err(Failure::Silent(format!("no answer within {within}; {}", goes_on())))
                }
            }
        });
        progress.clear();
        answer
    }

    /// The failure that the partition does not answer. A bus also tells which process it is.
    async fn silent(&self) -> Failure {
        let process = self.client.process().await;
        Failure::Silent(silent(process.as_ref(), self.patience.limit()))
    }
}
