//! The rules alone, without threads or hardware: every test drives a `Transaction` step by step and reads the journal.
//!
//! Each test is named after what it promises, with the clause of the contract first. The journal is described in `rig.rs`.

mod add;
mod depart;
mod names;
mod registry;
mod remove;
mod replay;
mod rig;
