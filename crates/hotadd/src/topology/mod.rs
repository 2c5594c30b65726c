//! [`Topology`]: where a processor is in the machine.

mod shape;
#[cfg(not(hotadd_loom))]
mod sysfs;

pub use self::shape::{Shape, ShapeError};
use crate::cpulist::CpuList;

/// Where a processor is in the machine: which core, package and memory node it belongs to, and what it shares with others. `None`
/// stands for what the kernel does not say.
///
/// The kernel numbers everything, and the numbers may have gaps. A core's number is unique within its package only.
///
/// # What is known when
/// Linux describes a processor completely only while it is online. So with affinity masks and cpusets, whose processors are online,
/// everything is known in every callback. A processor that the partition brings online itself
/// ([`Hotplug`](crate::hardware::Hotplug)) has only its [`node`](Self::node) in AddStart, if the firmware gives one: the kernel
/// links a processor to its node when it is plugged in. The rest is known from AddComplete on, and the node may have changed.
/// So read it again then. After RemoveComplete it is as in AddStart.
///
/// ```
/// use hotadd::hardware::Simulated;
/// use hotadd::{HardwareId, Notice, Partition, Shape, State};
///
/// let hardware = Simulated::shaped(Shape::new(2, 4, 2)?, 1)?;
/// let partition = Partition::simulated(&hardware)?;
/// let asked = partition.clone();
/// let _buffers = partition.register("buffers", move |notice: &Notice| {
///     if notice.state() == State::AddStart {
///         let topology = asked.topology(notice.processor().id);
///         println!("the buffer of {} is on node {:?}", notice.processor(), topology.node);
///     }
///     Ok(())
/// })?;
///
/// partition.add(HardwareId(9))?;
/// let topology = partition.topology(HardwareId(9));
/// assert_eq!((topology.package, topology.core, topology.node), (Some(1), Some(0), Some(1)));
/// assert_eq!(topology.siblings.unwrap().to_string(), "8-9");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Topology {
    /// The core, unique within the package.
    pub core: Option<u32>,
    /// The package: a chip in its socket.
    pub package: Option<u32>,
    /// The die within the package.
    pub die: Option<u32>,
    /// The cluster within the package: cores that share more than the package does, as on many arm64 machines.
    pub cluster: Option<u32>,
    /// The memory node (NUMA).
    pub node: Option<u32>,
    /// The processors of this core that are online, this one included: more than one with simultaneous multithreading (SMT).
    pub siblings: Option<CpuList>,
    /// The cache of level 3.
    pub l3: Option<L3>,
}

/// A cache of level 3.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct L3 {
    /// The kernel's number of the cache. Not every machine has one.
    pub id: Option<u32>,
    /// The processors online that share it.
    pub shared: CpuList,
}
