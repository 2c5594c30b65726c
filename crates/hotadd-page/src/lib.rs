//! The active set of a partition as a page of memory: the partition writes it, and every process that may read the file maps it.
//!
//! A reader needs no connection, no party and no D-Bus. The count and the epoch are one load, the whole set is a copy of some
//! hundred bytes, and waiting for a change is a futex. `docs/page.md` of the repository describes the layout, which readers in
//! other languages use directly.
//!
//! ```no_run
//! let page = hotadd_page::SetPage::open("/run/hotadd/system.set")?;
//! let mut seen = page.epoch();
//! loop {
//!     println!("{} processors", page.count());
//!     seen = page.wait(seen, None)?.expect("there is no time limit");
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), hotadd_page::PageError>(())
//! ```
//!
//! # Trust
//! The owner of the file can end its readers: if it truncates the file, the next read raises SIGBUS. So [`SetPage::open`] accepts
//! only files of root and of the user that opens it. Everything else in the page is checked before it is used.

#![deny(unsafe_code)]
#![cfg_attr(not(any(test, hotadd_loom)), warn(clippy::unwrap_used))]

// `hotadd` and everything that needs it also ends here on other systems: it is the only dependency that they have there, so the
// build has one error.
#[cfg(not(target_os = "linux"))]
compile_error!(
    "hotadd needs Linux: affinity masks, cpusets, futexes and /sys. On other systems only the crate hotadd-core works. \
     A program for several systems names hotadd under [target.'cfg(target_os = \"linux\")'.dependencies]."
);

#[cfg(all(target_os = "linux", not(hotadd_loom)))]
mod alive;
#[cfg(target_os = "linux")]
pub mod board;
#[cfg(target_os = "linux")]
mod error;
#[cfg(target_os = "linux")]
mod layout;
#[cfg(all(target_os = "linux", not(hotadd_loom)))]
mod map;
#[cfg(all(target_os = "linux", not(hotadd_loom)))]
mod reader;
#[cfg(target_os = "linux")]
pub mod seqlock;
#[cfg(target_os = "linux")]
mod snapshot;
#[cfg(all(target_os = "linux", not(hotadd_loom)))]
mod writer;

#[cfg(target_os = "linux")]
pub use error::PageError;
#[cfg(all(target_os = "linux", not(hotadd_loom)))]
pub use reader::SetPage;
#[cfg(target_os = "linux")]
pub use snapshot::Snapshot;
#[cfg(all(target_os = "linux", not(hotadd_loom)))]
pub use writer::PageWriter;

/// The example of this crate's README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
