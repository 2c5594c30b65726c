//! [`Case`]: what goes wrong, in which state, at which place, on which occasion. All of them, and what each must come to.

use std::fmt;
use std::time::Duration;

use hotadd::State;
use hotadd_service::script::word;

/// The party that goes wrong.
pub(crate) const FAULTY: &str = "faulty";

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What goes on when it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    Add,
    /// It registers and hears of the processors that are active already.
    Replay,
    Removal,
}

/// Every state, on the occasions on which it comes.
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

/// Where it stands among those who are asked, in the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Only,
    First,
    /// With others in front, behind, and others still that are asked at the same time.
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

/// How the party stands with the operator (L4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The operator named it: nothing is added without it.
    Named,
    /// The operator named it, and it is skipped when it is missing.
    Skipped,
    /// The operator does not know it, and has named another that is healthy.
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

/// Why an add or a removal comes to nothing that nothing else is wrong with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// One that is asked behind the faulty one refuses.
    Veto,
    /// There is none, so the platform fails.
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

    /// Why it comes to nothing, if not by the fault.
    pub(crate) fn cause(&self) -> Option<Cause> {
        let live = self.occasion != Occasion::Replay;
        let failure = matches!(self.state, State::AddFailure | State::RemoveFailure);
        (live && failure).then_some(match self.place {
            Place::First | Place::Middle => Cause::Veto,
            Place::Only | Place::Last => Cause::Platform,
        })
    }

    /// Whether the processor that it is about is active afterwards.
    pub(crate) fn ends_active(&self) -> bool {
        match self.occasion {
            Occasion::Add => self.state == State::AddComplete,
            Occasion::Replay => true,
            Occasion::Removal => self.state != State::RemoveComplete,
        }
    }

    /// The processor that it is about: 0 and 1 are active, 2 and more are not.
    pub(crate) fn id(&self) -> u32 {
        match self.occasion {
            Occasion::Add => 2,
            Occasion::Replay => 0,
            Occasion::Removal => 1,
        }
    }

    /// The driver, as `hotadd run` would be given it.
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
            // What it is told failed, it must have refused.
            (Occasion::Replay, State::AddFailure) => ",veto=1,replay",
            (Occasion::Replay, _) => ",replay",
            _ => "",
        };
        format!("sample:isolated,name={FAULTY},level={},{fault}{replay}", self.level())
    }

    /// Whether it is by the clock that it is found out.
    pub(crate) fn is_timed(&self) -> bool {
        matches!(self.fault, Fault::Hang | Fault::Stop | Fault::Half | Fault::Late)
    }

    /// Whether its process ends by it.
    pub(crate) fn is_deadly(&self) -> bool {
        use Fault::{Abort, Crash, Exit0, Exit1, Segv};
        matches!(self.fault, Crash | Segv | Abort | Exit0 | Exit1)
    }

    /// What is said to have happened, with this time limit (L3): one of these.
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
