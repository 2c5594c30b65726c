//! Every fault of a driver's process, in every state, at every place and on every occasion, and what must
//! hold after each.
//!
//! The cases are chosen from the product of the lists in [`case`], as [`choice`] says. They run in several
//! processes of this test binary, so that what each case leaves behind can be counted.

mod case;
mod choice;
mod healthy;
mod left;
mod oracle;
mod recorder;
mod restart;
mod shards;
mod strike;

/// L3 and the clauses that depend on it, for every case that is chosen.
#[test]
fn l3_a_faulty_driver_harms_no_other_party() {
    shards::all();
}

/// The entry of the processes that run the cases. Run directly, it does nothing.
#[test]
fn shard() {
    shards::run_shard();
}
