//! [`Dynamic`]: the instructions of a shared object to the system's linker, checked before the linker reads them.
//!
//! The linker trusts a file: it writes where relocations say, runs what the file calls a constructor or a resolver,
//! and searches where the file says. All of this would happen before the sandbox of the driver's process is closed.
//! So entries that would run code are removed from this crate's copy, and the code runs later in the sandbox. Entries
//! that would write outside of the file's own data are refused.

use std::ops::Range;

use object::Endianness;
use object::elf::{
    DT_AUXILIARY, DT_FILTER, DT_FINI, DT_FINI_ARRAY, DT_FINI_ARRAYSZ, DT_FLAGS, DT_GNU_HASH,
    DT_HASH, DT_INIT, DT_INIT_ARRAY, DT_INIT_ARRAYSZ, DT_JMPREL, DT_NEEDED, DT_NULL, DT_PLTGOT,
    DT_PLTREL, DT_PLTRELSZ, DT_PREINIT_ARRAY, DT_PREINIT_ARRAYSZ, DT_REL, DT_RELA, DT_RELAENT,
    DT_RELASZ, DT_RELR, DT_RPATH, DT_RUNPATH, DT_STRTAB, DT_SYMENT, DT_SYMTAB, DT_TEXTREL,
    DynamicTag, PF_W, PF_X, PT_DYNAMIC, PT_GNU_STACK, PT_LOAD, ProgramHeader64, R_X86_64_64,
    R_X86_64_DTPMOD64, R_X86_64_DTPOFF64, R_X86_64_GLOB_DAT, R_X86_64_IRELATIVE,
    R_X86_64_JUMP_SLOT, R_X86_64_NONE, R_X86_64_RELATIVE, R_X86_64_TPOFF64,
};
use object::read::elf::ProgramHeader;

use super::hash;
use crate::loaders::pe::FileError;

/// An entry of the dynamic table: a tag and a value.
const ENTRY: usize = 16;

/// A relocation: the place, the kind and symbol, and the addend.
const RELOCATION: u64 = 24;

/// A symbol.
const SYMBOL: u64 = 24;

const PAGE: u64 = 4096;

/// A pointer.
const WORD: u64 = 8;

/// The linker ignores this tag: it is in a range that no one has assigned.
const PASSED_OVER: u64 = 0x6000_4844;

/// A bit of DT_FLAGS: some relocation writes to code.
const DF_TEXTREL: u64 = 4;

/// Tags that the linker must not process. This crate processes them later, or ignores them.
const TAKEN_OUT: [DynamicTag; 10] = [
    DT_INIT,
    DT_INIT_ARRAY,
    DT_INIT_ARRAYSZ,
    DT_FINI,
    DT_FINI_ARRAY,
    DT_FINI_ARRAYSZ,
    DT_PREINIT_ARRAY,
    DT_PREINIT_ARRAYSZ,
    DT_RPATH,
    DT_RUNPATH,
];

/// The instructions to the linker, and those that are removed.
#[derive(Debug, Default)]
pub(crate) struct Dynamic {
    /// The file offsets of the removed tags.
    pub(crate) taken_out: Vec<usize>,
    /// The code that runs at the start: a function, and pointers to functions. Addresses are relative to the lowest
    /// one.
    pub(crate) begin: Steps,
    /// The code that runs at the end.
    pub(crate) end: Steps,
    /// The addresses of the tables of symbols and names.
    symbols: u64,
    names: u64,
    /// The highest symbol that a relocation refers to.
    last_symbol: usize,
    /// The tables for finding symbols: GNU's, and the older one.
    gnu_hash: Option<u64>,
    hash: Option<u64>,
    /// The file ranges that were checked and must not change any more.
    pub(crate) checked: Vec<Range<usize>>,
}

/// Unnamed functions that run at the start or at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    pub(crate) function: Option<usize>,
    /// The pointers to functions, which the linker has relocated.
    pub(crate) pointers: Range<usize>,
}

/// The parts of the file that are mapped.
pub(super) struct Layout<'a> {
    pub(super) bytes: &'a [u8],
    segments: &'a [ProgramHeader64<Endianness>],
    endian: Endianness,
    /// The addresses of the dynamic table. It is among the data, and its content was checked, so nothing else may
    /// write there.
    table: Range<u64>,
}

impl<'a> Layout<'a> {
    pub(super) const fn new(
        bytes: &'a [u8],
        segments: &'a [ProgramHeader64<Endianness>],
        endian: Endianness,
    ) -> Self {
        Self { bytes, segments, endian, table: 0..0 }
    }

    fn loaded(&self) -> impl Iterator<Item = &ProgramHeader64<Endianness>> {
        self.segments.iter().filter(|segment| segment.p_type(self.endian) == PT_LOAD)
    }

    /// Checks that no segment overlaps another as the linker maps them: in whole pages, each over the previous ones.
    /// Otherwise the memory would differ from what was checked.
    fn is_plain(&self) -> bool {
        let endian = self.endian;
        let mut free = 0;
        self.loaded().all(|segment| {
            let (start, size) = (segment.p_vaddr(endian), segment.p_memsz(endian));
            let plain = start & !(PAGE - 1) >= free
                && segment.p_filesz(endian) <= size
                && start.wrapping_sub(segment.p_offset(endian)).is_multiple_of(PAGE);
            let end = start.checked_add(size).and_then(|end| end.checked_next_multiple_of(PAGE));
            free = end.unwrap_or(u64::MAX);
            plain
        })
    }

    /// The file offset of these bytes of memory.
    fn offset(&self, at: u64, size: u64) -> Option<usize> {
        let endian = self.endian;
        self.loaded().find_map(|segment| {
            let inside = at.checked_sub(segment.p_vaddr(endian))?;
            (inside.checked_add(size)? <= segment.p_filesz(endian)).then_some(())?;
            let offset = segment.p_offset(endian).checked_add(inside)?;
            (offset.checked_add(size)? <= self.bytes.len() as u64).then_some(())?;
            usize::try_from(offset).ok()
        })
    }

    /// The file offset of these bytes, if nothing that the linker writes can change them.
    pub(super) fn constant(&self, at: u64, size: u64) -> Option<usize> {
        self.offset(at, size).filter(|_| !self.is_writable(at, 1))
    }

    /// Whether these bytes belong to the file's own data and were not checked.
    fn is_data(&self, at: u64, size: u64) -> bool {
        let beside = at >= self.table.end || at.saturating_add(size) <= self.table.start;
        beside && self.is_writable(at, size)
    }

    fn is_writable(&self, at: u64, size: u64) -> bool {
        let endian = self.endian;
        self.loaded().any(|segment| {
            let inside = at.checked_sub(segment.p_vaddr(endian));
            let end = inside.and_then(|inside| inside.checked_add(size));
            segment.p_flags(endian).contains(PF_W)
                && end.is_some_and(|end| end <= segment.p_memsz(endian))
        })
    }

    fn word(&self, offset: usize) -> Option<u64> {
        let bytes = self.bytes.get(offset..offset.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

impl Dynamic {
    pub(super) fn parse(layout: &mut Layout<'_>) -> Result<Self, FileError> {
        let (segments, endian) = (layout.segments, layout.endian);
        if !layout.is_plain() {
            return Err(damaged("its segments are out of order or overlap"));
        }
        for segment in segments {
            let flags = segment.p_flags(endian);
            let both = flags.contains(PF_W) && flags.contains(PF_X);
            if segment.p_type(endian) == PT_LOAD && both {
                return Err(unsupported("a segment that is both writable and executable"));
            }
            if segment.p_type(endian) == PT_GNU_STACK && flags.contains(PF_X) {
                return Err(unsupported("executable stacks (link it with -z noexecstack)"));
            }
        }
        let (entries, table) = layout.dynamic()?;
        let mut checked = vec![table];
        let value = |tag: DynamicTag| {
            entries.iter().find(|entry| entry.tag == tag).map(|entry| entry.value)
        };
        let has = |tag| value(tag).is_some();
        for entry in &entries {
            // The linker uses the last of several entries, and other tools the first.
            let single = entry.tag != DT_NEEDED;
            if single && entries.iter().filter(|other| other.tag == entry.tag).count() > 1 {
                return Err(damaged("an entry of its dynamic table occurs twice"));
            }
        }
        if has(DT_REL) || has(DT_RELR) {
            let what = "packed or short relocations (link it without -z pack-relative-relocs)";
            return Err(unsupported(what));
        }
        if has(DT_TEXTREL) || value(DT_FLAGS).is_some_and(|flags| flags & DF_TEXTREL != 0) {
            return Err(unsupported("relocations in its code (build it with -fPIC)"));
        }
        if has(DT_AUXILIARY) || has(DT_FILTER) {
            return Err(unsupported("a filter, which makes the linker load another file"));
        }
        let needed = |tag, wanted: u64| value(tag).is_none_or(|value| value == wanted);
        if !needed(DT_RELAENT, RELOCATION)
            || !needed(DT_SYMENT, SYMBOL)
            || !needed(DT_PLTREL, DT_RELA.0 as u64)
        {
            return Err(damaged("its tables have entries of the wrong size"));
        }
        let mut last_symbol = 0;
        for (start, size) in [(DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)] {
            let (Some(start), Some(size @ 1..)) = (value(start), value(size)) else { continue };
            let (table, last) = layout.relocations(start, size)?;
            last_symbol = last_symbol.max(last);
            checked.push(table);
        }
        // The linker writes the second and the third word of this table.
        if value(DT_PLTGOT).is_some_and(|at| !layout.is_data(at, 3 * WORD)) {
            return Err(damaged("its table of functions is outside its data"));
        }
        let names = value(DT_STRTAB).unwrap_or(0);
        for entry in entries.iter().filter(|entry| entry.tag == DT_NEEDED) {
            checked.push(layout.library(names, entry.value)?);
        }
        let steps = |function, array, size| {
            let function = value(function).filter(|at| *at != 0);
            let start = value(array).unwrap_or(0);
            let size = value(size).unwrap_or(0);
            if size > 0 && (!size.is_multiple_of(WORD) || !layout.is_data(start, size)) {
                return Err(damaged("its constructors are outside its data"));
            }
            // The code at this address is called.
            if function.is_some_and(|at| layout.offset(at, 1).is_none()) {
                return Err(damaged("its constructors are outside the file"));
            }
            // The range was checked to be inside the image, which is far smaller than the address space. An empty
            // range has no address.
            let start = if size == 0 { 0 } else { start };
            let pointers = start as usize..start as usize + size as usize;
            Ok(Steps { function: function.map(|at| at as usize), pointers })
        };
        Ok(Self {
            begin: steps(DT_INIT, DT_INIT_ARRAY, DT_INIT_ARRAYSZ)?,
            end: steps(DT_FINI, DT_FINI_ARRAY, DT_FINI_ARRAYSZ)?,
            taken_out: entries
                .iter()
                .filter(|entry| TAKEN_OUT.contains(&entry.tag))
                .map(|entry| entry.offset)
                .collect(),
            symbols: value(DT_SYMTAB).unwrap_or(0),
            names,
            last_symbol,
            gnu_hash: value(DT_GNU_HASH),
            hash: value(DT_HASH),
            checked,
        })
    }

    /// Whether the linker reads these symbols and names at these file offsets, and finds no other symbols.
    pub(super) fn reads(
        &self,
        layout: &Layout<'_>,
        (symbols, count): (u64, usize),
        names: u64,
    ) -> bool {
        let at = |offset: Option<usize>, wanted| offset.is_some_and(|at| at as u64 == wanted);
        let size = (count as u64).checked_mul(SYMBOL);
        let gnu = self.gnu_hash.is_none_or(|at| hash::gnu(layout, at, count) == Some(true));
        let old = self.hash.is_none_or(|at| hash::sysv(layout, at, count) == Some(true));
        at(size.and_then(|size| layout.constant(self.symbols, size)), symbols)
            && at(layout.constant(self.names, 1), names)
            && self.last_symbol < count
            && gnu
            && old
    }

    /// Makes the linker ignore the removed tags, in a copy of the file.
    pub(crate) fn take_out(&self, copy: &mut [u8]) {
        for &at in &self.taken_out {
            copy[at..at + 8].copy_from_slice(&PASSED_OVER.to_le_bytes());
        }
    }
}

/// An entry of the dynamic table, and its file offset.
struct Entry {
    offset: usize,
    tag: DynamicTag,
    value: u64,
}

impl Layout<'_> {
    /// The dynamic table as the linker finds it, and its file range. From here on nothing may write there.
    fn dynamic(&mut self) -> Result<(Vec<Entry>, Range<usize>), FileError> {
        let endian = self.endian;
        let mut tables =
            self.segments.iter().filter(|segment| segment.p_type(endian) == PT_DYNAMIC);
        let (Some(table), None) = (tables.next(), tables.next()) else {
            return Err(damaged("it does not have exactly one dynamic table"));
        };
        // The linker finds the table by its memory address.
        let (at, size) = (table.p_vaddr(endian), table.p_memsz(endian));
        let start = self.offset(at, size);
        let start = start.ok_or_else(|| damaged("its dynamic table is outside the file"))?;
        // The range is inside a segment, as the lookup above has shown.
        self.table = at..at + size;
        let mut entries = Vec::new();
        for offset in (start..).step_by(ENTRY).take(size as usize / ENTRY) {
            let (Some(tag), Some(value)) = (self.word(offset), self.word(offset + 8)) else {
                break;
            };
            let tag = DynamicTag(tag.cast_signed());
            if tag == DT_NULL {
                return Ok((entries, start..start + size as usize));
            }
            entries.push(Entry { offset, tag, value });
        }
        Err(damaged("its dynamic table is not terminated"))
    }

    /// Checks what the linker would write. Returns the file range of the relocations and the highest symbol in them.
    fn relocations(&self, start: u64, size: u64) -> Result<(Range<usize>, usize), FileError> {
        let offset = self.offset(start, size).filter(|_| size.is_multiple_of(RELOCATION));
        let offset = offset.ok_or_else(|| damaged("its relocations are outside the file"))?;
        // Otherwise one relocation could overwrite the next.
        if self.constant(start, size).is_none() {
            return Err(damaged("its relocations would change themselves"));
        }
        let mut last_symbol = 0;
        for at in (offset..offset + size as usize).step_by(RELOCATION as usize) {
            let (target, info) = (self.word(at), self.word(at + 8));
            let (Some(target), Some(info)) = (target, info) else { break };
            // The upper half is the symbol.
            let kind = info as u32;
            last_symbol = last_symbol.max((info >> 32) as usize);
            if kind == R_X86_64_NONE.0 {
                continue;
            }
            if kind == R_X86_64_IRELATIVE.0 {
                return Err(chosen_while_loaded());
            }
            let known = [
                R_X86_64_RELATIVE,
                R_X86_64_GLOB_DAT,
                R_X86_64_JUMP_SLOT,
                R_X86_64_64,
                R_X86_64_DTPMOD64,
                R_X86_64_DTPOFF64,
                R_X86_64_TPOFF64,
            ];
            if !known.iter().any(|known| known.0 == kind) {
                return Err(unsupported(&format!("a relocation of type {kind}")));
            }
            if !self.is_data(target, WORD) {
                let what = format!("a relocation at {target:#x}, outside its data");
                return Err(FileError::Damaged(what));
            }
        }
        Ok((offset..offset + size as usize, last_symbol))
    }

    /// Checks the name of a required library: it must be a system library, which the linker finds by its own search.
    /// Returns the name's file range.
    fn library(&self, names: u64, at: u64) -> Result<Range<usize>, FileError> {
        let start = names.checked_add(at).and_then(|at| self.constant(at, 1));
        let bytes = start.and_then(|start| self.bytes.get(start..)).unwrap_or_default();
        let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        if name.is_empty() || name.contains(&b'/') {
            let name = String::from_utf8_lossy(name);
            let what = format!("the library {name:?}, which is not a system library");
            return Err(unsupported(&what));
        }
        let start = start.unwrap_or_default();
        Ok(start..start + name.len())
    }
}

/// The error for code of the driver that would run before the sandbox is closed.
pub(super) fn chosen_while_loaded() -> FileError {
    unsupported(
        "functions that are selected during loading (ifunc), because that runs its code outside the sandbox",
    )
}

pub(super) fn damaged(what: &str) -> FileError {
    FileError::Damaged(what.to_owned())
}

fn unsupported(what: &str) -> FileError {
    FileError::Unsupported(what.to_owned())
}
