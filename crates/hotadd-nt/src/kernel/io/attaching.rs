//! Stacks of devices: a device that is attached to another one gets its requests first.

use hotadd::Status;
use parking_lot::{Mutex, MutexGuard};

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out, part};
use crate::ground::types::{NtStatus, UnicodeString, nt_status};
use crate::kernel::io::devices::{self, Device};
use crate::kernel::ke::irql;
use crate::kernel::ob::references::{self, Kind};

nt! {
    /// Attaches a device to the top of a stack. Returns the device below it, or NULL.
    fn IoAttachDeviceToDeviceStack(source: Out<Device>, target: Out<Device>) -> Out<Device> {
        attach("IoAttachDeviceToDeviceStack", source, target, None)
    }

    /// The same. Stores the device below before requests arrive.
    fn IoAttachDeviceToDeviceStackSafe(
        source: Out<Device>, target: Out<Device>, below: Out<Out<Device>>,
    ) -> NtStatus {
        let found = attach("IoAttachDeviceToDeviceStackSafe", source, target, Some(below));
        nt_status(if found.is_null() { NO_SUCH_DEVICE } else { Status::SUCCESS })
    }

    /// Attaches a device to the stack of the device with a name.
    fn IoAttachDevice(source: Out<Device>, name: In<UnicodeString>, below: Out<Out<Device>>) -> NtStatus {
        nt_status(attach_to_name(source, name, below))
    }

    /// Detaches the device above this one.
    fn IoDetachDevice(target: Out<Device>) { detach(target) }

    /// The top of a device's stack.
    fn IoGetAttachedDevice(device: Out<Device>) -> Out<Device> {
        let _stacks = stacks();
        top(device)
    }

    /// The top of a device's stack, with a reference that the caller has to remove.
    fn IoGetAttachedDeviceReference(device: Out<Device>) -> Out<Device> { top_with_reference(device) }

    /// Without effect: nothing watches the states of devices.
    fn IoInvalidateDeviceState(device: Out<Device>) { devices::expect("IoInvalidateDeviceState", device) }

    /// Without effect: nothing watches the relations of devices.
    fn IoInvalidateDeviceRelations(device: Out<Device>, _kind: u32) {
        devices::expect("IoInvalidateDeviceRelations", device);
    }
}

/// `STATUS_NO_SUCH_DEVICE`
pub(super) const NO_SUCH_DEVICE: Status = Status::from_raw(0xC000_000E);

/// Held while a stack is read or changed.
fn stacks() -> MutexGuard<'static, ()> {
    static STACKS: Mutex<()> = Mutex::new(());
    STACKS.lock()
}

/// The top of a device's stack, while [`stacks`] is held.
fn top(device: Out<Device>) -> Out<Device> {
    /// A stack that is higher has no room for its requests' locations.
    const HIGHEST: usize = 128;
    let mut at = device;
    for _ in 0..HIGHEST {
        match part!(at, Device.attached).get().non_null() {
            Some(above) => at = above,
            None => return at,
        }
    }
    caller::fault("uses a stack of devices whose links are damaged")
}

pub(super) fn top_with_reference(device: Out<Device>) -> Out<Device> {
    let _stacks = stacks();
    let top = top(device);
    references::add(top.as_ptr() as usize, Kind::Other);
    top
}

fn attach(
    function: &str,
    source: Out<Device>,
    target: Out<Device>,
    to: Option<Out<Out<Device>>>,
) -> Out<Device> {
    irql::at_most(function, irql::DISPATCH);
    devices::expect(function, source);
    let _stacks = stacks();
    let below = top(target);
    let Some(height) = part!(below, Device.stack_size).get().checked_add(1) else {
        return Out::null();
    };
    if below.as_ptr() == source.as_ptr() {
        caller::fault(format!("calls {function} to attach a device to itself"));
    }
    part!(source, Device.stack_size).put(height);
    part!(source, Device.alignment).put(part!(below, Device.alignment).get());
    if let Some(to) = to {
        to.put(below);
    }
    part!(below, Device.attached).put(source);
    below
}

fn attach_to_name(source: Out<Device>, name: In<UnicodeString>, below: Out<Out<Device>>) -> Status {
    let Some(target) = devices::by_name(name) else { return Status::OBJECT_NAME_NOT_FOUND };
    match attach("IoAttachDevice", source, target, Some(below)).is_null() {
        true => NO_SUCH_DEVICE,
        false => Status::SUCCESS,
    }
}

fn detach(target: Out<Device>) {
    irql::at_most("IoDetachDevice", irql::PASSIVE);
    let _stacks = stacks();
    let attached = part!(target, Device.attached);
    if attached.get().is_null() {
        caller::breach("IoDetachDevice: no device is attached to this one");
    }
    attached.put(Out::null());
}
