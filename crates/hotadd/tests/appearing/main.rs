//! Processors that appear while a partition is there (H2), on the simulated partition: what is told of them, and what adds them.

mod adder;
mod follow;
mod rig;
