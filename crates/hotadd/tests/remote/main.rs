//! The agent client against a fake partition: the same driver, called from another process.

mod agent;
mod fake;
mod handles;
mod hostile;
mod reconnect;
