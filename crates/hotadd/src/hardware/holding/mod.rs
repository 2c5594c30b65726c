//! Holding (H1, H3): keeps the threads of a partition on its set, whatever brings other processors within their reach.
//!
//! The same rules apply to every hardware that runs threads:
//! - A thread whose mask equals the set **follows** the partition: it gets each processor that joins.
//! - A thread whose mask lies inside of the set and is smaller has a mask of its own, which is not changed.
//! - A thread that this crate has pinned has a mask of its own too, also if the mask equals the set.
//! - A mask that reaches outside of the set is put back, reported, and taken as a request.
//!
//! A hardware defines where its threads are found ([`Population`]) and which mask a follower is given ([`Means`]). [`Hold`]
//! does the rest.

mod arrivals;
mod breach;
mod hold;
mod known;
mod linux;
mod mask;
mod pinned;
pub(super) mod probe;
mod settle;
mod stat;
mod threads;
mod tree;

pub(super) use self::arrivals::Arrivals;
pub(super) use self::hold::{Hold, Means, Moment};
pub(super) use self::linux::Linux;
pub use self::mask::Mask;
pub(crate) use self::pinned::Pinning;
#[cfg(test)]
pub(super) use self::stat::Stat;
pub(super) use self::threads::{Masks, Population, Processes, Swept};
#[cfg(test)]
pub(super) use self::threads::{Owner, Table};
pub use self::tree::Tree;
pub(super) use self::tree::{Members, TreeOf};
