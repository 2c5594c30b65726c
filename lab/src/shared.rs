//! Memory that a guest shares with this process: a device of the guest, and here a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::wire::{MEMORY, Memory};

pub(crate) struct SharedMemory(File);

impl SharedMemory {
    pub(crate) fn create(path: &Path) -> io::Result<SharedMemory> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        file.set_len(MEMORY as u64)?;
        Ok(SharedMemory(file))
    }
}

impl Memory for SharedMemory {
    fn put(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        self.0.write_all_at(head, 0)?;
        self.0.write_all_at(body, head.len() as u64)
    }

    fn get(&mut self, offset: usize, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, offset as u64)?;
        Ok(bytes)
    }
}
