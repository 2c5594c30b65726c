//! From a driver's file to its image in memory: `pe` for a `.sys`, `native` for a `.so`. What the images import is handed in from
//! above.

pub(crate) mod file;
pub(crate) mod native;
pub(crate) mod pe;
