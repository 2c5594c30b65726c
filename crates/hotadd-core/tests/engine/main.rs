//! The parts of the rules that parties do not see: the steps of a transaction, the names of processors, the registry. What
//! parties hear is in the table of `crates/conformance`.

mod names;
mod registry;
mod rig;
mod steps;
