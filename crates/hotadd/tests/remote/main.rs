//! The agent client against a partition that plays what it is told: the same driver, in another process's partition.

mod agent;
mod fake;
mod handles;
mod hostile;
mod reconnect;
