//! [`File`]: a driver's file, which is read once.

use std::fmt;
use std::path::Path;

use crate::loaders::native;
use crate::loaders::pe::{self, FileError};

/// The kind of a driver's file, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `.sys`, as Windows loads it.
    Sys,
    /// A shared object, built from the same source for this system.
    Native,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sys => "a Windows driver for x86-64",
            Self::Native => "a driver built natively for x86-64 Linux",
        })
    }
}

/// A driver's file in memory. The bytes that are inspected are the bytes that are loaded, even if the file changes in
/// the meantime.
#[derive(Clone)]
pub struct File {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    kind: Kind,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read or is too large. Whether it is a driver is checked when it is
    /// [inspected](Self::inspect) or [loaded](Self::load).
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let bytes = pe::read(path)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let kind = if native::Elf::is(&bytes) { Kind::Native } else { Kind::Sys };
        Ok(Self { name, bytes, kind })
    }

    /// The file's name, without its folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's kind, provided that it is a driver at all.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("name", &self.name).field("kind", &self.kind).finish()
    }
}
