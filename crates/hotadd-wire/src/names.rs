//! The names of the protocol: interfaces, paths, errors, flags, and a partition's name on a bus.

use crate::freedesktop::{ACCESS_DENIED, INTERACTIVE_AUTHORIZATION_REQUIRED};

/// The interface of a partition.
pub const PARTITION: &str = "org.hotadd.Partition1";

/// The interface of an agent.
pub const AGENT: &str = "org.hotadd.Agent1";

/// The object path of a partition.
pub const PARTITION_PATH: &str = "/org/hotadd/Partition";

/// The object path of an agent that is called on a board, up to its number.
pub const AGENT_PATH: &str = "/org/hotadd/Agent/";

/// The method by which a partition tells an agent that it is no longer registered (L3). It is not a notice: party, status,
/// reason. Signature `tus`.
pub const DEREGISTERED: &str = "Deregistered";

/// The prefix of the error name by which an agent's veto gives its status. An `x` and eight hex digits follow. The `x` is needed
/// because an element of a D-Bus name must not begin with a digit, which a warning status (0x8xxxxxxx) would do.
pub const STATUS_ERROR: &str = "org.hotadd.Error.Status.";

/// The prefix of the error name by which an agent reports that its party crashed (L3). The element for the status follows.
pub(crate) const CRASH_ERROR: &str = "org.hotadd.Error.Crashed.";

/// The prefix of the error names of `org.hotadd.Partition1`.
pub const ERROR: &str = "org.hotadd.Error.";

/// The D-Bus errors by which a partition denies a request. The second means that the request would be permitted with a password,
/// and that the call did not allow interactive authorization.
pub const DENIALS: [&str; 2] = [ACCESS_DENIED, INTERACTIVE_AUTHORIZATION_REQUIRED];

/// Flag of Register: the party is told only of later processors (R2).
pub const LATER_ONLY: u32 = 1;

/// Flag of Register: the party gets removal notices (X1).
pub const REMOVAL: u32 = 2;

/// Flag of Register: the party is called over the board of its connection, if that has room, and else by messages.
pub const BOARD: u32 = 4;

/// Flag of Register: while this party is being asked, requests of its connection come from another thread or task,
/// and wait. Without the flag, such a request counts as made from inside the callback and is refused (D3).
pub const CONCURRENT: u32 = 8;

/// The name of a machine's partition on a bus.
pub const MACHINE_BUS_NAME: &str = "org.hotadd.Hotadd1";

/// The well-known name of a partition on a bus, except a machine's.
#[must_use]
pub fn bus_name(partition: &str) -> String {
    format!("org.hotadd.Partition.{partition}")
}
