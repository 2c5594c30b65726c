//! What runtimes notice of a processor that joins while they run, and the lines that make them follow: docs/runtimes.md.
//!
//! Installed runtimes are tested; a line names each missing one. `cargo test -p hotadd-cli --test runtimes -- --nocapture` shows
//! what the programs say.

mod allocators;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod counted;
mod documented;
mod followers;
mod program;
mod rust;
