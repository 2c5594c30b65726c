//! What a scenario is made of: who takes part, what is done, and what must come of it.

use hotadd::State;

/// A driver: what it refuses and where it crashes, by state and processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) level: i32,
    pub(crate) removal: bool,
    pub(crate) refuses: &'static [(State, u32)],
    pub(crate) crashes: &'static [(State, u32)],
}

/// Hears of adds and removals at level 0, and agrees to everything.
pub(crate) const fn role(name: &'static str) -> Role {
    Role { name, level: 0, removal: true, refuses: &[], crashes: &[] }
}

pub(crate) const fn refuses(name: &'static str, refuses: &'static [(State, u32)]) -> Role {
    Role { refuses, ..role(name) }
}

/// One thing that is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Register(&'static str),
    RegisterLater(&'static str),
    Deregister(&'static str),
    Add(u32),
    Remove(u32),
    Rehearse(u32),
    Each(&'static [u32]),
    Atomic(&'static [u32]),
    FailStart(u32),
    FailStop(u32),
    Vanish(u32),
    Intrude(u32),
}

/// One scenario. Processors 0 to `active` are active at first, the `spare` ones behind them are not.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) active: u32,
    pub(crate) spare: u32,
    pub(crate) cast: &'static [Role],
    pub(crate) acts: &'static [Act],
    pub(crate) journal: &'static [&'static str],
}

impl Scenario {
    /// Whether the hardware must be given faults.
    pub(crate) fn has_faults(&self) -> bool {
        let fault = |act: &Act| {
            matches!(act, Act::FailStart(_) | Act::FailStop(_) | Act::Vanish(_) | Act::Intrude(_))
        };
        self.acts.iter().any(fault)
    }

    /// Whether it can be played with this many processors, and with or without faults; why not, if not.
    pub(crate) fn needs(&self, processors: u32, faults: bool) -> Result<(), String> {
        let all = self.active + self.spare;
        if processors < all {
            return Err(format!("needs {all} processors, {processors} allowed"));
        }
        if self.has_faults() && !faults {
            return Err("needs faults that this hardware cannot be given".to_owned());
        }
        Ok(())
    }
}
