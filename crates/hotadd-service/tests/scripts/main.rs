//! Scripts, run for real: what they are told, what their answers come to, and what cannot be run at all.

#![allow(unreachable_pub, reason = "modules of one test")]

mod stage;

mod answers;
mod documented;
mod folders;
mod refused;
mod surroundings;
