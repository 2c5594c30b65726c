//! The memory that the guest shares with the test's process: the third region of a PCI device, which needs no driver.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::ptr::NonNull;

use lab::wire::{MEMORY, Memory};
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// The vendor and the device, as QEMU's `ivshmem-plain` has them.
const DEVICE: (&str, &str) = ("0x1af4", "0x1110");

/// The first byte of the memory, of which `MEMORY` bytes are mapped until this process ends.
pub(crate) struct Shared(NonNull<u8>);

impl Shared {
    pub(crate) fn map() -> io::Result<Shared> {
        let device = device()?;
        // It has no driver that enables it.
        fs::write(device.join("enable"), "1")?;
        let region = File::options().read(true).write(true).open(device.join("resource2"))?;
        if region.metadata()?.len() != MEMORY as u64 {
            return Err(io::Error::other("the shared memory has another size"));
        }
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: with no address given, the kernel chooses one that nothing else uses.
        let start =
            unsafe { mmap(std::ptr::null_mut(), MEMORY, rights, MapFlags::SHARED, &region, 0)? };
        NonNull::new(start.cast()).map(Shared).ok_or_else(|| io::Error::other("mapped at 0"))
    }
}

impl Memory for Shared {
    fn put(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        if head.len().saturating_add(body.len()) > MEMORY {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the memory is mapped for good and has `MEMORY` bytes, which is not less than the length, by the check above. It
        // is a device's, so it does not overlap memory of a slice. The test's process does not use it now: it waits for the reply.
        unsafe { self.0.as_ptr().copy_from_nonoverlapping(head.as_ptr(), head.len()) };
        // SAFETY: `head.len()` is at most `MEMORY`, the end of the mapping.
        let behind = unsafe { self.0.as_ptr().add(head.len()) };
        // SAFETY: the mapping has `body.len()` bytes from `behind` on: both lengths together are at most `MEMORY`, by the check
        // above. It is mapped for good, and is a device's memory, so it does not overlap the slice. The test's process does not use
        // it now: it waits for the reply.
        unsafe { behind.copy_from_nonoverlapping(body.as_ptr(), body.len()) };
        Ok(())
    }

    fn get(&mut self, offset: usize, length: usize) -> io::Result<Vec<u8>> {
        if offset.saturating_add(length) > MEMORY {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = vec![0; length];
        // SAFETY: `offset` is at most `MEMORY`, the end of the mapping, by the check above.
        let from = unsafe { self.0.as_ptr().add(offset) };
        // SAFETY: the mapping has `length` bytes from there, by the check above, and so has the new vector, which is not a device's
        // memory. The test's process does not write now: it announced this frame and waits for the reply.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(from, length) };
        Ok(bytes)
    }
}

fn device() -> io::Result<PathBuf> {
    for entry in fs::read_dir("/sys/bus/pci/devices")? {
        let device = entry?.path();
        let is = |name: &str, value: &str| {
            fs::read_to_string(device.join(name)).is_ok_and(|found| found.trim() == value)
        };
        if is("vendor", DEVICE.0) && is("device", DEVICE.1) {
            return Ok(device);
        }
    }
    Err(io::Error::other("there is no shared memory"))
}
