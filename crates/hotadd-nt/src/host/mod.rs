//! The highest layer: it loads a driver into memory, calls its entry and its unload, and confines its process.

pub(crate) mod load;
pub mod pe;
pub mod sandbox;
#[cfg(test)]
pub(crate) mod trial;
pub(crate) mod unload_report;
