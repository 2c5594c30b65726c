//! Scripts that are really run: what they get, how their answers are interpreted, and what cannot be run.

#![expect(unreachable_pub, reason = "modules of one test")]

mod fixture;

mod answers;
mod documented;
mod folders;
mod refused;
mod surroundings;
