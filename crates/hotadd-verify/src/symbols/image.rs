//! [`Image`]: what a driver's file says of itself: its kind, its lowest address, its PDB.

use object::{Object, ObjectSegment};

/// The size of the pages in which an image is loaded.
const PAGE: u64 = 4096;

/// A driver's file, parsed.
pub(super) struct Image<'a> {
    /// The file.
    pub(super) file: object::File<'a>,
    /// The address from which offsets count.
    pub(super) base: u64,
    /// Whether it is a Windows driver.
    pub(super) windows: bool,
}

/// What a PDB must have to be of the same build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The build's GUID, in the order of the file.
    pub(super) guid: [u8; 16],
    /// How often the linker wrote the PDB.
    pub(super) age: u32,
    /// The name of the PDB's file, as it is recorded, without a folder.
    pub(super) name: String,
}

impl<'a> Image<'a> {
    /// Parses a file, or says what it is instead.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let windows = bytes.starts_with(b"MZ");
        if !windows && !bytes.starts_with(b"\x7fELF") {
            return Err("is neither ELF nor PE".to_owned());
        }
        let file = object::File::parse(bytes).map_err(|why| format!("is damaged: {why}"))?;
        let base = if windows {
            file.relative_address_base()
        } else {
            file.segments().map(|segment| segment.address()).min().unwrap_or(0) & !(PAGE - 1)
        };
        Ok(Self { file, base, windows })
    }

    /// Which PDB the linker wrote for it.
    pub(super) fn identity(&self) -> Option<Identity> {
        let recorded = self.file.pdb_info().ok()??;
        // The path is on the machine that built the driver. Only its last part is used, so that it cannot lead anywhere else.
        let path = String::from_utf8_lossy(recorded.path());
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        let name = if matches!(name, "." | "..") { "" } else { name };
        Some(Identity { guid: recorded.guid(), age: recorded.age(), name: name.to_owned() })
    }
}
