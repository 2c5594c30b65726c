//! [`Check`]: one way in which a driver can break the contract, and [`CHECKS`], the list of all.

use serde::{Serialize, Serializer};

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The machine stops, loses memory or uses a processor that a driver is not ready for.
    Error,
    /// The driver works by chance, or not on every machine.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One way in which a driver can break the contract.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name in reports, such as `leak-after-failure`. It never changes.
    pub id: &'static str,
    /// How serious it is.
    pub severity: Severity,
    /// The clause of the contract, such as `A6`, or the public page that has the rule.
    pub rule: &'static str,
    /// What the driver does wrong, as a phrase.
    pub title: &'static str,
    /// What a user of such a machine would see.
    pub effect: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

impl Check {
    /// The check with this id.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Self> {
        CHECKS.iter().find(|check| check.id == id)
    }
}

/// A check is written as its id.
impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id)
    }
}

/// Makes the list.
macro_rules! checks {
    ($($id:literal $severity:ident $rule:literal: $title:literal; $effect:literal; $advice:literal)*) => {
        /// All checks, in the order of reports.
        pub static CHECKS: &[Check] = &[$(Check {
            id: $id, severity: Severity::$severity, rule: $rule, title: $title, effect: $effect, advice: $advice,
        }),*];
    };
}

checks! {
    "never-registered" Error "R1": "loads without registering a callback";
        "the driver is never told of new processors";
        "call KeRegisterProcessorChangeCallback in DriverEntry, and return an error if it returns NULL"
    "unknown-flags" Warning "R7": "registers with flags that do not exist";
        "the registration fails or changes its meaning on a later Windows";
        "pass 0 or KE_PROCESSOR_CHANGE_ADD_EXISTING"
    "registers-in-callback" Error "D3": "registers or adds from inside a callback";
        "the system hangs when a processor is added";
        "register in DriverEntry, or from a work item"
    "handle-misuse" Error "D2": "passes a handle that is NULL, closed or foreign";
        "the system stops, or another driver loses its registration";
        "deregister and close exactly once, and only what was returned"
    "status-outside-start" Warning "A6": "writes *OperationStatus although it does not refuse a processor";
        "nothing today; the value is ignored, and what the driver wanted to say is lost";
        "write *OperationStatus only in KeProcessorAddStartNotify, and only an error"
    "veto-swallowed" Error "A7": "overwrites the refusal that *OperationStatus holds";
        "a processor joins although another driver refused it, and that driver uses memory that it does not have";
        "write *OperationStatus only to refuse, never STATUS_SUCCESS"
    "refuses-new-group" Warning "A1": "refuses processors of a group that was empty when it was loaded";
        "the machine cannot grow beyond the groups that it booted with";
        "size the driver's tables by KeQueryMaximumProcessorCountEx and KeQueryMaximumGroupCount"
    "refuses-load" Warning "R4": "does not load on machines with some sets of processors";
        "the driver is missing on these machines";
        "load with any number of processors"
    "refuses-all" Warning "A2": "refuses every processor";
        "no processor can be added while the driver is loaded";
        "refuse only if the processor cannot be prepared for"
    "leak-after-failure" Error "A4": "keeps what it prepared for a processor that did not join";
        "each failed attempt to add a processor loses memory until the next restart";
        "free in KeProcessorAddFailureNotify everything that KeProcessorAddStartNotify allocated"
    "leak-after-veto" Error "A3": "keeps what it prepared before it refused a processor itself";
        "each refusal loses memory; a driver that refuses is not told that the processor failed";
        "free everything before writing an error to *OperationStatus"
    "leak-after-refused-load" Error "R4": "keeps memory or objects although its loading failed";
        "memory is lost until the next restart";
        "free everything on every path on which DriverEntry returns an error"
    "leak-after-unload" Error "D4": "keeps memory or objects after it was unloaded";
        "each unload loses memory; with Driver Verifier the system stops";
        "free everything in DriverUnload"
    "not-deregistered" Error "D4": "unloads without deregistering";
        "the system stops at the next added processor: the callback's code is gone";
        "call KeDeregisterProcessorChangeCallback first in DriverUnload, and on every path on which DriverEntry fails"
    "freed-before-deregistering" Error "D1": "frees what its callback uses before it deregisters";
        "the system stops if a processor is added while the driver is unloaded";
        "deregister first, and free afterwards"
    "double-free" Error "ExFreePoolWithTag": "frees a block of pool twice";
        "the system stops with BAD_POOL_CALLER, or memory of another driver is damaged";
        "set the pointer to NULL after freeing"
    "bad-free" Error "ExFreePoolWithTag": "frees what is not a block of pool, or with another tag";
        "the system stops with BAD_POOL_CALLER";
        "free what the pool functions returned, with the same tag"
    "freed-in-use" Error "ExFreePoolWithTag": "frees an object that is still in use";
        "the system stops at any later time: the object's list entries are in freed memory";
        "cancel the timer, remove the DPC or end the wait, and free afterwards"
    "use-after-free" Error "ExFreePoolWithTag": "uses pool after freeing it";
        "the system stops at any later time, or data is damaged";
        "free a block when nothing can use it any more"
    "pool-overrun" Error "ExAllocatePool2": "uses pool beyond the end or before the beginning of a block";
        "memory of another driver is damaged, or the system stops";
        "allocate what is used, and check the index"
    "sized-by-active-count" Error "KeQueryMaximumProcessorCountEx": "has a table for the processors that were active when it was loaded";
        "the first processor that is added damages the memory behind the table";
        "size tables by KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS)"
    "index-beyond-array" Error "KeQueryMaximumProcessorCountEx": "uses an array in its image beyond the end";
        "on a machine with many processors the driver damages its own data, or the system stops";
        "allocate the array by KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS), or refuse larger indexes"
    "single-group-assumed" Warning "KeQueryActiveProcessorCountEx": "asks for group 0 alone on a machine with several groups";
        "processors beyond the 64th are not counted, or are taken for others";
        "use the functions whose names end in Ex, with ALL_PROCESSOR_GROUPS"
    "index-number-mixed" Error "KeGetProcessorIndexFromNumber": "uses a processor's number in its group as its index, or the reverse";
        "on a machine with several groups two processors share one entry";
        "use NtNumber as index, and ProcNumber only to aim"
    "inactive-target" Error "A5": "queues a DPC at a processor that is not active";
        "the DPC never runs, and whatever waits for it hangs";
        "aim in KeProcessorAddStartNotify, queue in KeProcessorAddCompleteNotify"
    "running-after-unload" Error "D4": "is unloaded while its code still runs or will run";
        "the system stops: the code is gone";
        "wait for threads, cancel timers, and flush DPCs and work items in DriverUnload"
    "over-budget" Error "L3": "does not return within the time limit";
        "adding a processor, loading or unloading hangs, and every driver after this one waits";
        "wait only for what is certain to come, with a time limit"
    "held-across-callback" Error "A1": "returns from a callback with a lock held or IRQL raised";
        "the next driver's callback runs at the wrong IRQL, or the system hangs";
        "release every lock before returning"
    "lock-order" Error "Driver Verifier, deadlock detection": "takes two locks in different orders";
        "the system hangs if both orders meet";
        "take locks in one order everywhere"
    "wrong-irql" Error "the function's page": "calls a function at an IRQL at which it must not be called";
        "the system stops with IRQL_NOT_LESS_OR_EQUAL, or hangs";
        "see the function's public page for the IRQL"
    "uninitialised-reserved" Error "GROUP_AFFINITY": "passes a structure whose Reserved member is not zero";
        "the call fails, depending on what was on the stack";
        "set the whole structure to zero first"
    "affinity-misuse" Error "GROUP_AFFINITY": "asks for processors that do not exist, or for none";
        "the call has no effect, and the code runs on any processor";
        "use only active processors of one group"
    "exhaustion-unhandled" Error "A2": "does not handle the failure of a call";
        "the system stops when memory is short";
        "check the result, free what was prepared, and refuse the processor"
    "agrees-unprepared" Warning "A2": "agrees to a processor although part of its preparation failed";
        "the driver works on that processor without its data, or not at all";
        "refuse the processor when a call that prepares for it fails"
    "missing-import" Error "L1": "calls a function that is not provided";
        "on a Windows without the function the driver is not loaded";
        "look the function up with MmGetSystemRoutineAddress, and do without it"
    "bugcheck" Error "L3": "stops the system itself";
        "the system stops";
        "refuse the processor in KeProcessorAddStartNotify, and handle what comes later"
    "crash" Error "L3": "crashes";
        "the system stops";
        "see the place"
    "misuse" Error "the function's page": "uses a function in a way that its page forbids";
        "undefined: from no effect to a stop of the system";
        "see the function's public page"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_unique_and_kebab_case() {
        for (at, check) in CHECKS.iter().enumerate() {
            let good = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(check.id.chars().all(good), "{}", check.id);
            assert!(CHECKS[..at].iter().all(|other| other.id != check.id), "{} twice", check.id);
            assert_eq!(Check::find(check.id), Some(check));
        }
    }
}
