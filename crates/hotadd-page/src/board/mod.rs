//! A board: calls from a partition to the agents of one connection, and their agreements, in shared memory.
//!
//! Everything except an agreement goes over the connection's socket: a veto and the error of a crash are D-Bus errors for the
//! same serial. The board only makes the usual case fast, in which every agent agrees. `docs/page.md` of the repository describes
//! the layout.
//!
//! # Trust
//! Each side may write anything at any time.
//!
//! - **The partition** reads only the answers and the word `awake`, and never what it wrote itself. So an agent that writes
//!   everywhere can fake nothing but its own agreement, which it may give anyway. It can make its own call late. The memory is
//!   sealed, so that it cannot be truncated under the partition.
//! - **The agent** checks every field of a call.
//!
//! No board is shared by two agents' processes. A futex on memory that all agents map could wake all of them at once, but any of
//! them could move the others' wake-ups elsewhere by FUTEX_CMP_REQUEUE, for which a read-only mapping suffices. With boards of
//! their own, an agent can move only the wake-ups of its own calls. The partition does not depend on these: it looks again
//! after a tenth of a second at the latest.

#[cfg(not(hotadd_loom))]
mod backoff;
#[cfg(not(hotadd_loom))]
mod call;
#[cfg(not(hotadd_loom))]
mod layout;
#[cfg(not(hotadd_loom))]
mod memory;
pub mod protocol;
#[cfg(not(hotadd_loom))]
mod reader;
#[cfg(not(hotadd_loom))]
mod writer;

#[cfg(not(hotadd_loom))]
pub use call::{Call, Entry, Garbled};
pub use protocol::Outcome;
#[cfg(not(hotadd_loom))]
pub use reader::{BoardError, BoardReader};
#[cfg(not(hotadd_loom))]
pub use writer::BoardWriter;
