//! [`Dwarf`]: lines from the DWARF sections of a file.

use std::path::PathBuf;
use std::sync::Arc;

use gimli::{EndianArcSlice, RunTimeEndian};
use object::{Object, ObjectSection};

use super::image::Image;
use super::path::{self, Separators};
use super::{LARGEST, Location};

type Reader = EndianArcSlice<RunTimeEndian>;

/// The DWARF of a file.
pub(super) struct Dwarf {
    context: addr2line::Context<Reader>,
    /// The address from which offsets count.
    base: u64,
    separators: Separators,
    /// The folder to which names of files are relative.
    folder: Option<PathBuf>,
}

impl std::fmt::Debug for Dwarf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dwarf").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Dwarf {
    /// The DWARF of a file, if it has any. Otherwise why it cannot be used.
    pub(super) fn new(image: &Image<'_>) -> Result<Option<Self>, String> {
        let file = &image.file;
        if file.section_by_name(".debug_info").is_none() {
            return Ok(None);
        }
        let endian =
            if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let mut left = LARGEST;
        let load = |id: gimli::SectionId| -> Result<Reader, String> {
            let bytes = match file.section_by_name(id.name()) {
                Some(section) => contents(&section, &mut left)?,
                None => Arc::default(),
            };
            Ok(Reader::new(bytes, endian))
        };
        let unusable = |why: String| format!("its debugging information cannot be used: {why}");
        let dwarf = gimli::Dwarf::load(load).map_err(unusable)?;
        let context =
            addr2line::Context::from_dwarf(dwarf).map_err(|error| unusable(error.to_string()))?;
        let separators = if image.windows { Separators::Windows } else { Separators::Unix };
        let folder = std::env::current_dir().ok();
        Ok(Some(Self { context, base: image.base, separators, folder }))
    }

    pub(super) fn locate(&self, offset: u64) -> Option<Location> {
        // addr2line adds one.
        let address = self.base.checked_add(offset).filter(|&address| address < u64::MAX)?;
        // The innermost frame. It may have a line and no function.
        let mut frames = self.context.find_frames(address).skip_all_loads().ok()?;
        let frame = frames.next().ok()??;
        let function = frame.function.and_then(|name| Some(name.demangle().ok()?.into_owned()));
        let (file, line) = frame.location.map_or((None, None), |at| (at.file, at.line));
        Some(Location {
            function,
            file: file.map(|file| path::shorten(file, self.separators, self.folder.as_deref())),
            // Line 0 is code that is of no line.
            line: line.filter(|&line| line != 0),
        })
    }
}

/// The bytes of a section, decompressed, if they are not more than what is left.
fn contents<'a>(section: &impl ObjectSection<'a>, left: &mut u64) -> Result<Arc<[u8]>, String> {
    let data = section.compressed_data().map_err(|error| error.to_string())?;
    // The size is what the file claims. It is checked before it is allocated.
    *left = left
        .checked_sub(data.uncompressed_size)
        .ok_or_else(|| format!("it has more than {} MB", LARGEST >> 20))?;
    Ok(data.decompress().map_err(|error| error.to_string())?.into())
}
