//! [`Symbols`]: from an offset in a driver's file to function, file and line.
//!
//! | the driver | where symbols come from |
//! |---|---|
//! | `.so` | its DWARF |
//! | `.sys` with a `.pdb` beside it | the PDB, if it is of the same build |
//! | `.sys` of mingw-w64 | its DWARF |
//! | any of them | the symbol table, for the function's name alone |
//!
//! # Damaged files
//! A driver's files are hostile input. No file of more than 256 MB is read, and no section is decompressed beyond that. What a PDB's
//! streams claim to contain is limited by the size of the file. The libraries that read DWARF return errors. The one that reads
//! PDBs panics over some damaged files, so every use of a library is contained: after a panic there are no symbols.
//!
//! Nothing limits the time: a file can be made for which a lookup takes long, or more memory than the file. The user can end the
//! program. The driver itself never runs in this process.

mod dwarf;
mod image;
mod path;
mod pdb;
mod table;

use std::cell::{OnceCell, RefCell};
use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::report::Place;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 << 20;

/// The longest name of a function or file that is kept, in characters.
const LONGEST: usize = 512;

/// What is said of a file over which a library panicked.
const DAMAGED: &str = "is damaged";

/// The symbols of one driver.
///
/// ```
/// use hotadd_verify::symbols::Symbols;
///
/// let symbols = Symbols::open("/no/such/driver.sys".as_ref());
/// assert_eq!(symbols.locate(0x1234), None);
/// assert!(symbols.note().unwrap().starts_with("driver.sys cannot be read: "));
/// ```
#[derive(Debug)]
pub struct Symbols {
    /// Nothing, after a panic of a library.
    sources: RefCell<Sources>,
    note: Option<String>,
    /// The name of the file.
    name: String,
    /// The note after a panic of a library.
    damaged: OnceCell<String>,
}

/// Where an instruction is in the sources. At least one of the members is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The function. For inlined code, the function that was inlined.
    pub function: Option<String>,
    /// The source file: relative to the current folder, if it is in it. Otherwise its name without a folder.
    pub file: Option<String>,
    /// The line in the source file, from 1.
    pub line: Option<u32>,
}

/// What is known, from the best to the last resort.
#[derive(Debug, Default)]
struct Sources {
    pdb: Option<pdb::Pdb>,
    dwarf: Option<dwarf::Dwarf>,
    table: table::Table,
}

impl Symbols {
    /// Reads the symbols of the driver in this file. Never fails: without symbols, nothing is found, and [`note`](Self::note) says
    /// why.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let opened = contained(|| Sources::open(path));
        let opened = opened.unwrap_or_else(|| Err(DAMAGED.to_owned()));
        let (sources, note) =
            opened.unwrap_or_else(|why| (Sources::default(), Some(format!("{name} {why}"))));
        Self { sources: RefCell::new(sources), note, name, damaged: OnceCell::new() }
    }

    /// Why places have no lines, or no symbols at all, as a sentence without a full stop. Contains names of files as they are.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.damaged.get().or(self.note.as_ref()).map(String::as_str)
    }

    /// Where the instruction at this offset is. The offset is that of the instruction itself, not of the one to which a call
    /// returns; it counts from the image's lowest address (for a `.sys`, it is the relative virtual address).
    #[must_use]
    pub fn locate(&self, offset: u64) -> Option<Location> {
        let mut sources = self.sources.borrow_mut();
        let found = contained(|| sources.locate(offset));
        if found.is_none() {
            // What panicked may be inconsistent now.
            *sources = Sources::default();
            self.damaged.get_or_init(|| format!("the symbols of {} are damaged", self.name));
        }
        found.flatten()
    }

    /// Adds function, file and line to a place in this driver. Does not change what is not known.
    pub fn fill(&self, place: &mut Place) {
        let Some(location) = self.locate(place.offset) else { return };
        if location.function.is_some() {
            place.function = location.function;
        }
        if location.file.is_some() {
            // A line belongs to its file.
            (place.file, place.line) = (location.file, location.line);
        }
    }
}

impl Sources {
    /// The sources and a note, or why there are none.
    fn open(path: &Path) -> Result<(Self, Option<String>), String> {
        let bytes = read(path).map_err(|why| format!("cannot be read: {why}"))?;
        let image = image::Image::parse(&bytes)?;
        let table = table::Table::new(&image);
        let mut notes = Vec::new();
        let pdb = pdb::Pdb::beside(path, &image).unwrap_or_else(|why| {
            notes.push(why);
            None
        });
        // What mingw-w64 builds has no PDB, and what Microsoft's linker and lld build has no DWARF.
        let dwarf = match &pdb {
            Some(_) => None,
            None => dwarf::Dwarf::new(&image).unwrap_or_else(|why| {
                notes.push(why);
                None
            }),
        };
        if pdb.is_none() && dwarf.is_none() && notes.is_empty() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            notes.push(format!("{name} has no debugging information; compile and link it with -g"));
        }
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        Ok((Self { pdb, dwarf, table }, note))
    }

    fn locate(&mut self, offset: u64) -> Option<Location> {
        let mut location = match (&self.pdb, &self.dwarf) {
            (Some(pdb), _) => pdb.locate(offset),
            (None, Some(dwarf)) => dwarf.locate(offset),
            (None, None) => None,
        }
        .unwrap_or_default();
        if location.function.is_none() {
            location.function = self.table.function(offset);
        }
        let shorter = |name: String| name.chars().take(LONGEST).collect();
        location.function = location.function.map(shorter);
        location.file = location.file.map(shorter);
        (location != Location::default()).then_some(location)
    }
}

/// What the function returns, or nothing if it panics. Panics are contained here and nowhere else, because a library's panic over a
/// damaged file must not end a verification. The message is still printed.
fn contained<T>(function: impl FnOnce() -> T) -> Option<T> {
    // The callers drop what the function had in hand.
    catch_unwind(AssertUnwindSafe(function)).ok()
}

/// The contents of a file, if it is a file that can be read at all.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let too_large = || format!("it has more than {} MB", LARGEST >> 20);
    // Opening a FIFO would wait for a process that writes to it.
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    if metadata.len() > LARGEST {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // The file may grow meanwhile.
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST { Err(too_large()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_leaves_no_symbols_and_is_contained() {
        assert_eq!(contained(|| 1), Some(1));
        assert_eq!(contained(|| -> u8 { panic!("a library's") }), None);
    }

    #[test]
    fn what_is_no_driver_has_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("driver.so");
        fs::write(&text, "text").unwrap();
        let note = |path: &Path| Symbols::open(path).note().unwrap().to_owned();
        assert_eq!(note(&text), "driver.so is neither ELF nor PE");
        assert!(note(folder.path()).ends_with("cannot be read: it is not a file"));
        assert_eq!(note(Path::new("/dev/zero")), "zero cannot be read: it is not a file");
    }

    #[test]
    fn a_file_of_more_than_256_mb_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.sys");
        fs::File::create(&large).unwrap().set_len(LARGEST + 1).unwrap();
        let note = Symbols::open(&large).note().unwrap().to_owned();
        assert_eq!(note, "large.sys cannot be read: it has more than 256 MB");
    }
}
