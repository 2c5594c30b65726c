//! [`Rule`]: what a report about a driver is about. Tools that sort reports use it; the text says the rest.

use std::fmt;

use crate::ground::images::Place;

/// Declares the rules with their ids.
macro_rules! rules {
    ($($(#[$meta:meta])* $name:ident = $id:literal,)*) => {
        /// The rule that a driver broke.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Rule { $($(#[$meta])* $name,)* }

        impl Rule {
            /// All rules.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in reports.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }
        }
    };
}

rules! {
    /// A rule of a function's public page that has no name of its own here.
    #[default]
    Misuse = "misuse",
    /// A fault of the processor, or an exception without a handler.
    Crash = "crash",
    /// The driver stopped the system.
    Bugcheck = "bugcheck",
    /// It called what nothing provides.
    MissingImport = "missing-import",
    /// It did not return in time (L3).
    OverBudget = "over-budget",
    /// It freed a block twice.
    DoubleFree = "double-free",
    /// It freed what is not a block, or with another tag.
    BadFree = "bad-free",
    /// It freed an object that is in use.
    FreedInUse = "freed-in-use",
    /// It used a block after freeing it.
    UseAfterFree = "use-after-free",
    /// It used memory outside of its block.
    PoolOverrun = "pool-overrun",
    /// It registered with flags that do not exist (R7).
    UnknownFlags = "unknown-flags",
    /// It registers or adds inside a callback (D3).
    InCallback = "registers-in-callback",
    /// It passed a handle that is not open (D2).
    Handle = "handle-misuse",
    /// It was unloaded with registrations (D4).
    NotDeregistered = "not-deregistered",
    /// It left memory or objects when it was unloaded (D4).
    LeakAfterUnload = "leak-after-unload",
    /// It left memory or objects when its loading failed (R4).
    LeakAfterRefusedLoad = "leak-after-refused-load",
    /// Its code still runs or will run after it was unloaded.
    Running = "running-after-unload",
    /// It queued a DPC at a processor that is not active (A5).
    InactiveTarget = "inactive-target",
    /// It returned from a callback with a lock held or at a raised IRQL.
    HeldAcrossCallback = "held-across-callback",
    /// It took two locks in both orders.
    LockOrder = "lock-order",
    /// It called a function at an IRQL that the function's page forbids.
    Irql = "wrong-irql",
    /// It passed a structure whose reserved member is not zero.
    Reserved = "uninitialised-reserved",
    /// It asked for processors that do not exist, or for none.
    Affinity = "affinity-misuse",
    /// It overwrote the refusal of another driver (A7).
    VetoSwallowed = "veto-swallowed",
    /// It wrote a status although it did not refuse (A6).
    StatusOutsideStart = "status-outside-start",
}

/// A rule that a driver broke, after which it continues.
#[derive(Clone, Debug)]
pub struct Breach {
    /// The rule.
    pub rule: Rule,
    /// What happened.
    pub what: String,
    /// The driver's position, if known.
    pub place: Option<Place>,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(f, "{} at {place}", self.what),
            None => f.write_str(&self.what),
        }
    }
}
