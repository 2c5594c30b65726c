//! Processors that appear (H2), on the simulated partition: the reports about them, and the ways to add them.

mod adder;
mod fixture;
mod follow;
