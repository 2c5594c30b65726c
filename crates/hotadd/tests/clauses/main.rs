//! A test for every clause of the contract that this library keeps by itself, on the simulated partition.
//!
//! One file for each letter; each test is named after what it promises, with its clause first. `recorder.rs` holds the
//! driver that writes everything down. The rules alone, without threads, are tested in `hotadd-core`.

mod a;
mod a_batch;
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
mod x;
