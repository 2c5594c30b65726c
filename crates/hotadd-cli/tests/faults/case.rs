//! [`Case`]: which fault happens, in which state, at which place in the order and on which occasion; all
//! cases and their expected outcomes. [`choice`](crate::choice) says which of them run.

use std::fmt;
use std::time::Duration;

use hotadd::State;
use hotadd_service::script::word;

/// The name of the faulty party.
pub(crate) const FAULTY: &str = "faulty";

/// Longer than any step of these tests takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What is under way when the fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    Add,
    /// It registers, and gets the replay of the active processors.
    Replay,
    Removal,
}

/// Every state, with the occasions on which it occurs.
pub(crate) const MOMENTS: [(Occasion, State); 9] = [
    (Occasion::Add, State::AddStart),
    (Occasion::Add, State::AddComplete),
    (Occasion::Add, State::AddFailure),
    (Occasion::Replay, State::AddStart),
    (Occasion::Replay, State::AddComplete),
    (Occasion::Replay, State::AddFailure),
    (Occasion::Removal, State::RemoveStart),
    (Occasion::Removal, State::RemoveComplete),
    (Occasion::Removal, State::RemoveFailure),
];

/// The place of the faulty party in the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Only,
    First,
    /// Between other parties, some of which are asked at the same time.
    Middle,
    Last,
}

pub(crate) const PLACES: [Place; 4] = [Place::Only, Place::First, Place::Middle, Place::Last];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Crash,
    Segv,
    Abort,
    Exit0,
    Exit1,
    Hang,
    Stop,
    Garbage,
    Half,
    Disconnect,
    Late,
}

pub(crate) const FAULTS: [Fault; 11] = [
    Fault::Crash,
    Fault::Segv,
    Fault::Abort,
    Fault::Exit0,
    Fault::Exit1,
    Fault::Hang,
    Fault::Stop,
    Fault::Garbage,
    Fault::Half,
    Fault::Disconnect,
    Fault::Late,
];

/// The relation of the party to the operator (L4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The operator named it, and nothing is added without it.
    Named,
    /// The operator named it, and it is skipped when it is missing.
    Skipped,
    /// The operator did not name it, but named another party, which is healthy.
    Stranger,
}

pub(crate) const STANDINGS: [Standing; 3] =
    [Standing::Named, Standing::Skipped, Standing::Stranger];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) occasion: Occasion,
    pub(crate) state: State,
    pub(crate) place: Place,
    pub(crate) fault: Fault,
    pub(crate) standing: Standing,
}

/// A second reason why an add or a removal fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A party that is asked after the faulty one refuses.
    Veto,
    /// No party refuses, so the platform must fail.
    Platform,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { occasion, state, place, fault, standing } = self;
        write!(f, "{fault:?} in {state} of {occasion:?}, {place:?}, {standing:?}")
    }
}

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (occasion, state) in MOMENTS {
            for place in PLACES {
                for fault in FAULTS {
                    let case = |standing| Self { occasion, state, place, fault, standing };
                    all.extend(STANDINGS.map(case));
                }
            }
        }
        all
    }

    pub(crate) fn is_removal(&self) -> bool {
        self.occasion == Occasion::Removal
    }

    /// Removing asks the highest level first.
    pub(crate) fn level(&self) -> i32 {
        match (self.place, self.is_removal()) {
            (Place::First, false) | (Place::Last, true) => -1,
            (Place::First, true) | (Place::Last, false) => 3,
            (Place::Only | Place::Middle, _) => 1,
        }
    }

    /// Why it fails, if not by the fault.
    pub(crate) fn cause(&self) -> Option<Cause> {
        let live = self.occasion != Occasion::Replay;
        let failure = matches!(self.state, State::AddFailure | State::RemoveFailure);
        (live && failure).then_some(match self.place {
            Place::First | Place::Middle => Cause::Veto,
            Place::Only | Place::Last => Cause::Platform,
        })
    }

    /// Whether the processor is active afterwards.
    pub(crate) fn ends_active(&self) -> bool {
        match self.occasion {
            Occasion::Add => self.state == State::AddComplete,
            Occasion::Replay => true,
            Occasion::Removal => self.state != State::RemoveComplete,
        }
    }

    /// The processor of the case. 0 and 1 are active, 2 and more are not.
    pub(crate) fn id(&self) -> u32 {
        match self.occasion {
            Occasion::Add => 2,
            Occasion::Replay => 0,
            Occasion::Removal => 1,
        }
    }

    /// The driver's specification, as for `hotadd run`.
    pub(crate) fn driver(&self) -> String {
        let when = word(self.state);
        let fault = match self.fault {
            Fault::Crash => format!("crash={when}"),
            Fault::Segv => format!("segv={when}"),
            Fault::Abort => format!("abort={when}"),
            Fault::Exit0 => format!("exit={when}:0"),
            Fault::Exit1 => format!("exit={when}:1"),
            Fault::Hang => format!("hang={when}"),
            Fault::Stop => format!("stop={when}"),
            Fault::Garbage => format!("garbage={when}"),
            Fault::Half => format!("half={when}"),
            Fault::Disconnect => format!("disconnect={when}"),
            Fault::Late => format!("late={when}"),
        };
        let replay = match (self.occasion, self.state) {
            // To be told a failure, it must have refused.
            (Occasion::Replay, State::AddFailure) => ",veto=1,replay",
            (Occasion::Replay, _) => ",replay",
            _ => "",
        };
        format!("sample:isolated,name={FAULTY},level={},{fault}{replay}", self.level())
    }

    /// Whether only the time limit detects the fault.
    pub(crate) fn is_timed(&self) -> bool {
        matches!(self.fault, Fault::Hang | Fault::Stop | Fault::Half | Fault::Late)
    }

    /// Whether the fault ends its process.
    pub(crate) fn is_deadly(&self) -> bool {
        use Fault::{Abort, Crash, Exit0, Exit1, Segv};
        matches!(self.fault, Crash | Segv | Abort | Exit0 | Exit1)
    }

    /// The reasons that may be reported with this time limit (L3).
    pub(crate) fn reasons(&self, limit: Duration) -> Vec<String> {
        match self.fault {
            Fault::Crash => vec!["its process was killed by SIGKILL".to_owned()],
            Fault::Segv => vec!["its process was killed by SIGSEGV".to_owned()],
            Fault::Abort => vec!["its process was killed by SIGABRT".to_owned()],
            Fault::Exit0 => vec!["its process exited with status 0".to_owned()],
            Fault::Exit1 => vec!["its process exited with status 1".to_owned()],
            Fault::Hang | Fault::Stop | Fault::Half | Fault::Late => {
                vec![format!("no answer in {} ms", limit.as_millis())]
            }
            Fault::Garbage => {
                vec![
                    "its connection was closed, because it sent bytes that are not a D-Bus message"
                        .to_owned(),
                ]
            }
            Fault::Disconnect => {
                let mut reasons = vec!["its connection was closed".to_owned()];
                if self.occasion == Occasion::Replay {
                    // Without a connection it cannot register, and its process gives up.
                    reasons.push("its process exited with status 1".to_owned());
                }
                reasons
            }
        }
    }
}
