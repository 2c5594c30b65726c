//! Every fault of a driver's process, in every state, at every place, on every occasion; and what has to hold after each.
//!
//! The cases are the product of the lists in [`case`]. They run in several processes of this test binary, so that what
//! each leaves behind can be counted.

mod case;
mod healthy;
mod left;
mod oracle;
mod recorder;
mod restart;
mod shards;
mod strike;

/// L3 and all that hangs on it, for every case there is.
#[test]
fn l3_whatever_goes_wrong_takes_nobody_with_it() {
    shards::all();
}

/// Where the processes come in that run the cases; by itself it has nothing to do.
#[test]
fn shard() {
    shards::play();
}
