//! Which check a fault belongs to: by the memory that was accessed, and by what the driver did before.

use std::sync::atomic::{AtomicBool, Ordering};

use hotadd_nt::{Fault, Place, Rule, pool, probe};

/// What is known when a fault happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The driver asked how many processors are active, and never how many there can be.
    pub(super) asked_active: bool,
    /// How many blocks had been allocated when the driver was loaded. `None` while it is being loaded.
    pub(super) blocks_at_load: Option<u64>,
    /// A call was made to fail before.
    pub(super) injected: bool,
    /// A processor is being added while the driver deregisters.
    pub(super) deregistering: bool,
}

/// The check that a fault belongs to.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) check: &'static str,
    /// The check if no call had been made to fail.
    pub(super) otherwise: Option<&'static str>,
    pub(super) what: String,
    /// Where the block was allocated.
    pub(super) origin: Option<Place>,
}

static DEREGISTERING: AtomicBool = AtomicBool::new(false);

/// A processor is added while the driver deregisters, or that is over.
pub(super) fn set_deregistering(is: bool) {
    DEREGISTERING.store(is, Ordering::Relaxed);
}

pub(super) fn is_deregistering() -> bool {
    DEREGISTERING.load(Ordering::Relaxed)
}

/// The check that a fault belongs to.
pub(super) fn fault(fault: &Fault, known: Known) -> Class {
    // The text goes on with the place where a person reads it in one line.
    let what = fault.what.trim_end_matches(", called").trim_end_matches(',').to_owned();
    let plain = |check| Class { check, otherwise: None, what: what.clone(), origin: None };
    let by_memory = by_memory(fault, known);
    let is_freed = match &by_memory {
        Some(class) => class.check == "use-after-free",
        None => matches!(fault.rule, Rule::Crash | Rule::DoubleFree | Rule::BadFree),
    };
    if known.deregistering && is_freed {
        // Also a table whose pointer the driver has set to NULL.
        let class = by_memory.unwrap_or_else(|| plain("freed-before-deregistering"));
        return Class { check: "freed-before-deregistering", ..class };
    }
    match fault.rule {
        // What the process of the scenario found by its own means.
        Rule::PoolOverrun => match by_memory {
            Some(class) => Class { what, ..class },
            None => plain(fault.rule.id()),
        },
        Rule::Crash if by_memory.is_some() => by_memory.unwrap_or_else(|| plain("crash")),
        // After a call has failed, these are how a driver fails that does not expect it.
        Rule::Crash | Rule::Misuse | Rule::OverBudget | Rule::Running if known.injected => {
            Class { otherwise: Some(fault.rule.id()), ..plain("exhaustion-unhandled") }
        }
        rule => plain(rule.id()),
    }
}

/// The check by the memory that was accessed.
fn by_memory(fault: &Fault, known: Known) -> Option<Class> {
    let address = fault.address?;
    if let Some(near) = pool::near(address) {
        let pool::Near { block, offset, freed } = near;
        let size = block.size;
        let tag = block.tag;
        let origin = block.origin;
        if freed {
            let what = format!(
                "uses byte {offset} of a block of {size} bytes, tag '{tag}', that it has freed"
            );
            return Some(Class { check: "use-after-free", otherwise: None, what, origin });
        }
        // A freed block is known by its address, a damaged one by its beginning.
        let where_ = if offset < 0 {
            format!("{} bytes before", -offset)
        } else {
            format!("at byte {offset} of")
        };
        let from_load = known.blocks_at_load.is_some_and(|blocks| block.serial < blocks);
        let check =
            if from_load && known.asked_active { "sized-by-active-count" } else { "pool-overrun" };
        let what = format!("uses memory {where_} a block of {size} bytes, tag '{tag}'");
        return Some(Class { check, otherwise: None, what, origin });
    }
    let beyond = probe::beyond_image(address)?;
    let what = format!("{}, which is {} bytes behind its data", fault.what, beyond);
    Some(Class { check: "index-beyond-array", otherwise: None, what, origin: None })
}
