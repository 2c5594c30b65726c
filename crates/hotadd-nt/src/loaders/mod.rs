//! From a driver's file to its image in memory: `pe` for a `.sys`, `native` for a `.so`. What an image imports comes
//! from the [`Services`](crate::ground::services::Services) that the layer above hands in.

pub(crate) mod file;
pub(crate) mod native;
pub(crate) mod pe;
