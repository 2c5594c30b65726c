//! Functions that make whole requests (`IoBuild...Request`).

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out, part};
use crate::ground::objects::Event;
use crate::ground::thread;
use crate::ground::types::Boolean;
use crate::kernel::io::devices::{self, Device};
use crate::kernel::io::irp::{self, IoStatus, Irp, Location};
use crate::kernel::io::synchronous::{self, flag};
use crate::kernel::ke::irql;
use crate::kernel::mm::mdl;
use crate::kernel::rtl::buffers;

/// `IRP_MJ_...`
const READ: u8 = 3;
const WRITE: u8 = 4;
const DEVICE_CONTROL: u8 = 0xe;
const INTERNAL_DEVICE_CONTROL: u8 = 0xf;

nt! {
    /// Makes a request for a control code. The system frees it when it is completed.
    fn IoBuildDeviceIoControlRequest(
        code: u32, device: Out<Device>, input: Out<u8>, input_length: u32, output: Out<u8>, output_length: u32,
        internal: Boolean, event: Out<Event>, status: Out<IoStatus>,
    ) -> Out<Irp> {
        let control = Control { code, internal: internal != 0, input, input_length, output, output_length };
        control.build(device, event, status)
    }

    /// Makes a request that reads, writes, flushes or the like. The system frees it when it is completed.
    fn IoBuildSynchronousFsdRequest(
        major: u32, device: Out<Device>, buffer: Out<u8>, length: u32, offset: In<i64>, event: Out<Event>,
        status: Out<IoStatus>,
    ) -> Out<Irp> {
        irql::at_most("IoBuildSynchronousFsdRequest", irql::APC);
        let irp = transfer("IoBuildSynchronousFsdRequest", major, device, (buffer, length), offset, status);
        if !irp.is_null() {
            part!(irp, Irp.user_event).put(event);
            synchronous::own(irp, length as usize);
        }
        irp
    }

    /// The same, but the driver frees the request, and what it refers to, in a completion routine.
    fn IoBuildAsynchronousFsdRequest(
        major: u32, device: Out<Device>, buffer: Out<u8>, length: u32, offset: In<i64>, status: Out<IoStatus>,
    ) -> Out<Irp> {
        transfer("IoBuildAsynchronousFsdRequest", major, device, (buffer, length), offset, status)
    }
}

/// The arguments of a request for a control code.
struct Control {
    code: u32,
    internal: bool,
    input: Out<u8>,
    input_length: u32,
    output: Out<u8>,
    output_length: u32,
}

impl Control {
    fn build(&self, device: Out<Device>, event: Out<Event>, status: Out<IoStatus>) -> Out<Irp> {
        const NAME: &str = "IoBuildDeviceIoControlRequest";
        irql::at_most(NAME, irql::PASSIVE);
        let irp = begin(NAME, device, status);
        if irp.is_null() {
            return irp;
        }
        part!(irp, Irp.user_event).put(event);
        let location = irp::next(NAME, irp);
        let major = if self.internal { INTERNAL_DEVICE_CONTROL } else { DEVICE_CONTROL };
        part!(location, Location.major).put(major);
        // METHOD_NEITHER gives the driver the addresses; the others give it buffers.
        let neither = self.code & 3 == 3;
        let input = if neither { self.input.as_ptr() as u64 } else { 0 };
        part!(location, Location.parameters).put([
            self.output_length.into(),
            self.input_length.into(),
            self.code.into(),
            input,
        ]);
        let buffered = match self.code & 3 {
            // METHOD_BUFFERED: one buffer for both.
            0 => give_buffer(
                irp,
                self.input,
                self.input_length,
                self.input_length.max(self.output_length),
            ),
            3 => true,
            // METHOD_IN_DIRECT, METHOD_OUT_DIRECT: the pages of the output, which the driver may read or write.
            direct => {
                give_buffer(irp, self.input, self.input_length, self.input_length)
                    && give_pages(irp, self.output, self.output_length, direct == 2)
            }
        };
        if !buffered {
            return give_up(irp);
        }
        if matches!(self.code & 3, 0 | 3) && !self.output.is_null() {
            part!(irp, Irp.user_buffer).put(self.output);
        }
        if self.code & 3 == 0 && !self.output.is_null() && self.output_length != 0 {
            add_flags(irp, flag::INPUT_OPERATION);
        }
        synchronous::own(irp, self.output_length as usize);
        irp
    }
}

/// A request without a function.
fn begin(function: &str, device: Out<Device>, status: Out<IoStatus>) -> Out<Irp> {
    let irp = irp::allocate(function, part!(device, Device.stack_size).get());
    if !irp.is_null() {
        part!(irp, Irp.user_status).put(status);
        part!(irp, Irp.thread).put(thread::own().id());
    }
    irp
}

fn add_flags(irp: Out<Irp>, flags: u32) {
    let all = part!(irp, Irp.flags);
    all.put(all.get() | flags);
}

/// Gives a request a buffer of the system with this content. Returns whether there was memory for it.
fn give_buffer(irp: Out<Irp>, from: Out<u8>, filled: u32, size: u32) -> bool {
    if size == 0 {
        return true;
    }
    let Some(memory) = buffers::allocate(buffers::IRP_BUFFER, size as usize) else { return false };
    // SAFETY: it has this size until the request is completed.
    let buffer: Out<u8> = unsafe { Out::new(memory.cast()) };
    part!(irp, Irp.system_buffer).put(buffer);
    add_flags(irp, flag::BUFFERED | flag::DEALLOCATE);
    if filled != 0 && !from.is_null() {
        buffer.put_all(&from.readable().to_vec(filled as usize));
    }
    true
}

/// Gives a request a description of this memory, whose pages are locked. Returns whether there was memory for it.
fn give_pages(irp: Out<Irp>, memory: Out<u8>, length: u32, write: bool) -> bool {
    if length == 0 || memory.is_null() {
        return true;
    }
    let mdl = mdl::describe(memory.as_ptr() as usize, length);
    if !mdl.is_null() {
        part!(irp, Irp.mdl).put(mdl);
        mdl::lock(mdl, u32::from(write));
    }
    !mdl.is_null()
}

fn give_up(irp: Out<Irp>) -> Out<Irp> {
    buffers::free(part!(irp, Irp.system_buffer).get().as_ptr().cast());
    mdl::free_all(part!(irp, Irp.mdl).get());
    irp::release(irp);
    Out::null()
}

fn transfer(
    function: &str,
    major: u32,
    device: Out<Device>,
    (buffer, length): (Out<u8>, u32),
    offset: In<i64>,
    status: Out<IoStatus>,
) -> Out<Irp> {
    irql::at_most(function, irql::DISPATCH);
    let irp = begin(function, device, status);
    if irp.is_null() {
        return irp;
    }
    let location = irp::next(function, irp);
    let major = u8::try_from(major).unwrap_or(u8::MAX);
    part!(location, Location.major).put(major);
    if !matches!(major, READ | WRITE) {
        return irp;
    }
    let at = offset.non_null().map_or(0, In::get);
    part!(location, Location.parameters).put([length.into(), 0, at.cast_unsigned(), 0]);
    // What the device asks for in its flags.
    let flags = part!(device, Device.flags).get();
    let given = if flags & devices::flag::BUFFERED_IO != 0 {
        let filled = if major == WRITE { length } else { 0 };
        if major == READ {
            part!(irp, Irp.user_buffer).put(buffer);
            add_flags(irp, flag::INPUT_OPERATION);
        }
        give_buffer(irp, buffer, filled, length)
    } else if flags & devices::flag::DIRECT_IO != 0 {
        give_pages(irp, buffer, length, major == READ)
    } else {
        part!(irp, Irp.user_buffer).put(buffer);
        true
    };
    if given { irp } else { give_up(irp) }
}
