//! The contract as one table of scenarios (`table/*.txt`), which is run over every kind of partition.
//!
//! A scenario says which parties there are, what is done, and everything that must follow: every call in its order, the outcome of
//! each command, and the active set at the end. It names processors 0, 1, 2 ... in the order in which the partition learns of them;
//! a [`Setup`] maps these to hardware ids. `table/README.md` describes the format.
//!
//! To run the table over another kind of partition, implement [`Subject`], or build an [`OnPartition`], and call [`run`]. A scenario
//! that needs something the subject cannot do is not run, and the report says so and why.
//!
//! What a sequence of commands cannot show (threads, time limits, lost connections) is tested elsewhere; `tests/clauses.rs` lists
//! these tests by clause.

mod parse;
mod partition;
mod play;
mod scenario;
mod script;

pub use parse::{FILES, table};
pub use partition::{OnPartition, Setup};
pub use play::{Report, run};
pub use scenario::{Act, Command, Fault, Need, Party, Scenario};
pub use script::{Effects, Journal, Refusal, Script, Subject};
