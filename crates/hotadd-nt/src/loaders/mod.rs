//! Load a driver's file as an image in memory: `pe` for a `.sys`, `native` for a `.so`. An image's imports come from
//! the [`Services`](crate::ground::services::Services) that the layer above passes in.

pub(crate) mod file;
pub(crate) mod native;
pub(crate) mod pe;
