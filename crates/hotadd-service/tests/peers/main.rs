//! A partition on D-Bus, as its peers find it. Tests that count what a process holds, or that other tests would disturb, are programs
//! of their own.

#[path = "../common/mod.rs"]
mod common;

mod absent;
mod agents;
mod answers;
mod authority;
mod bus;
mod client;
mod events;
mod failures;
mod hostile;
mod inside;
mod missing;
mod page;
mod places;
mod replays;
mod statuses;
