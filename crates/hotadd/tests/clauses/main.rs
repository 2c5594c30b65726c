//! What the table of `crates/conformance` cannot show: threads, the moments at which values are dropped, observers, and the texts of
//! results. On the simulated partition.
//!
//! One file for each letter. The name of each test begins with its clause. `recorder.rs` has the driver that writes everything down.

mod a;
mod d;
mod d_inside;
mod events;
mod l;
mod l_required;
mod observing;
mod q;
mod q_looks;
mod r;
mod recorder;
mod together;
