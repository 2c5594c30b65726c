//! [`Rights`]: what the process of a driver may request over its connection: to be that driver, and to look.

use std::time::Duration;

use hotadd::Status;
use hotadd::text::{LONGEST_NAME, cut};

use crate::access::policy::Right;
use crate::parties::loss::Loss;

/// What the process of a driver may request. The operator's settings of level and time limit apply, whatever the process requests.
pub(crate) struct Rights {
    /// The name under which its driver registers. The name of a further callback of a file ends in `#` and a number.
    pub(crate) name: String,
    pub(crate) level: i32,
    pub(crate) time_limit: Duration,
    /// The process may register several callbacks.
    pub(crate) several: bool,
    /// Called with the reason when this side closes the connection.
    pub(crate) closed: Box<dyn Fn(&Loss) + Send + Sync>,
}

/// A driver's process requested something that it has no right to. Its connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("{0}, which a driver's process may not do")]
pub(crate) struct Trespass(String);

impl Trespass {
    /// The status of a trespass.
    pub(crate) const STATUS: Status = Status::ACCESS_DENIED;
}

impl From<Trespass> for Loss {
    fn from(trespass: Trespass) -> Self {
        Self { status: Trespass::STATUS, reason: trespass.to_string() }
    }
}

impl Rights {
    /// Whether the process may call this method of the partition.
    pub(crate) fn calls(method: &str) -> Result<(), Trespass> {
        match Right::to_call(method) {
            Some(Right::Look | Right::Register) => Ok(()),
            Some(Right::Change) | None => {
                Err(Trespass(format!("calls {}", cut(method, LONGEST_NAME))))
            }
        }
    }

    /// Whether the process may register under this name. `has` is the number of its registrations.
    pub(crate) fn registers(&self, name: &str, has: usize) -> Result<(), Trespass> {
        let behind = name.strip_prefix(&*self.name);
        let further =
            |rest: &str| rest.strip_prefix('#').is_some_and(|number| number.parse::<u32>().is_ok());
        if !behind.is_some_and(|rest| rest.is_empty() || self.several && further(rest)) {
            return Err(Trespass(format!("registers as {}", cut(name, LONGEST_NAME))));
        }
        if has > 0 && !self.several {
            return Err(Trespass("registers twice".to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(several: bool) -> Rights {
        let (name, time_limit) = ("x.so".to_owned(), Duration::from_secs(1));
        Rights { name, level: 0, time_limit, several, closed: Box::new(|_| {}) }
    }

    #[test]
    fn a_drivers_process_may_only_read_register_and_deregister() {
        for method in [
            "GetSet",
            "GetPage",
            "GetParties",
            "GetWaiting",
            "GetHistory",
            "GetEvents",
            "GetAbsent",
        ] {
            Rights::calls(method).expect("reading is permitted");
        }
        for method in ["GetCandidates", "GetMissing", "Register", "Deregister"] {
            Rights::calls(method).expect("needed by a driver");
        }
        for method in [
            "Add",
            "AddBatch",
            "Remove",
            "Rehearse",
            "RehearseRemoval",
            "RestartParty",
            "add",
            "",
            "\n",
        ] {
            Rights::calls(method).expect_err("it changes something or does not exist");
        }
    }

    #[test]
    fn a_drivers_process_may_register_only_under_its_own_name() {
        rights(false).registers("x.so", 0).expect("its own name");
        for (name, has) in [("x.so", 1), ("x.so#2", 0), ("y", 0), ("", 0), ("x.so2", 0)] {
            rights(false).registers(name, has).expect_err(name);
        }
        for (name, has) in [("x.so", 0), ("x.so#2", 1), ("x.so", 3)] {
            rights(true).registers(name, has).expect("a file's driver may do so several times");
        }
        for name in ["x.so#", "x.so#-1", "x.so#two", "y#2", "x.so2", "\u{202e}x.so"] {
            rights(true).registers(name, 1).expect_err(name);
        }
    }

    #[test]
    fn a_hostile_method_name_is_cleaned_and_cut_in_the_error() {
        let long = format!("\u{202e}\n{}", "x".repeat(1000));
        let why = Rights::calls(&long).unwrap_err().to_string();
        assert!(why.starts_with("calls \u{fffd} xxx") && why.len() < 200, "{why}");
    }
}
