//! [`Elf`]: the properties of a shared object's file that must be known before it is loaded. Everything is checked,
//! because it may be any file.

use std::collections::HashMap;
use std::ops::Range;

use object::elf::{
    ET_DYN, PF_R, PF_W, PF_X, PT_GNU_RELRO, PT_LOAD, ProgramHeader64, R_X86_64_64,
    R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, STB_GLOBAL,
    STB_WEAK, STT_GNU_IFUNC, STT_TLS,
};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, Sym};
use object::{Endianness, Object, ObjectSection, RelocationFlags, RelocationTarget, SectionFlags};

use super::dynamic::{Dynamic, Layout, chosen_while_loaded, damaged};
use crate::ground::images::Span;
use crate::loaders::pe::{FileError, Section};

const PAGE: u64 = 4096;

/// The size limit in memory. No driver is larger.
const LARGEST: u64 = 1 << 30;

/// The size of a symbol in the dynamic table, in bytes. The fifth byte has its binding.
const SYMBOL: usize = 24;
const INFO: usize = 4;

/// A shared object's file.
#[derive(Debug)]
pub(crate) struct Elf {
    /// The offset of `DriverEntry` from the lowest address.
    pub(crate) entry: usize,
    /// Its size in the address space, in bytes.
    pub(crate) size: usize,
    /// The symbols that it imports.
    pub(crate) undefined: Vec<Undefined>,
    /// The places for the addresses of these symbols.
    pub(crate) slots: Vec<Slot>,
    /// How many places are relocated when it is loaded.
    pub(crate) relocations: usize,
    /// The parts that are mapped and readable.
    pub(crate) mapped: Vec<Span>,
    /// Its sections.
    pub(crate) sections: Vec<Section>,
    /// The pages that the linker makes read-only at the end.
    pub(crate) sealed: Option<Range<usize>>,
    /// The instructions to the linker, and those that are removed.
    pub(crate) dynamic: Dynamic,
}

/// A symbol that it imports.
#[derive(Debug)]
pub(crate) struct Undefined {
    pub(crate) name: String,
    /// The driver works without it.
    pub(crate) weak: bool,
    /// The file offset of its binding.
    pub(crate) info: usize,
}

/// Eight bytes for a symbol's address.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The offset from the lowest address.
    pub(crate) at: usize,
    /// The index in `undefined`.
    pub(crate) symbol: usize,
    pub(crate) addend: isize,
}

impl Elf {
    /// Whether the file is an ELF file.
    pub(crate) fn is(bytes: &[u8]) -> bool {
        bytes.starts_with(b"\x7fELF")
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let file = File::parse(bytes).map_err(|error| {
            FileError::NotADriver(format!(
                "an ELF file, but not a complete one of 64 bits ({error})"
            ))
        })?;
        check_kind(&file)?;
        let memory = Memory::of(&file)?;
        let (mapped, sealed) = (mapped(&file), sealed(&file, &memory));
        let mut layout = Layout::new(bytes, file.elf_program_headers(), file.endian());
        let dynamic = Dynamic::parse(&mut layout)?;
        let symbols = Symbols::of(bytes, &file, &layout, &dynamic)?;
        let entry = symbols.entry.filter(|entry| *entry < memory.size).ok_or_else(no_entry)?;
        let (slots, relocations) = slots(&file, &memory, &symbols)?;
        let undefined = symbols.undefined;
        let (size, sections) = (memory.size.next_multiple_of(PAGE as usize), sections(&file));
        Ok(Self { entry, size, undefined, slots, relocations, mapped, sections, sealed, dynamic })
    }
}

type File<'a> = ElfFile64<'a, Endianness>;

fn check_kind(file: &File<'_>) -> Result<(), FileError> {
    let (header, endian) = (file.elf_header(), file.endian());
    if header.e_machine(endian) != object::elf::EM_X86_64 || header.is_big_endian() {
        return Err(FileError::NotADriver("an ELF file for another processor than x86-64".into()));
    }
    if header.e_type(endian) != ET_DYN {
        let what = "an ELF file, but not a shared object (build it with -shared)";
        return Err(FileError::NotADriver(what.into()));
    }
    Ok(())
}

/// The memory that the file occupies when it is loaded.
struct Memory {
    /// The addresses of each segment, and whether it is writable.
    segments: Vec<(Range<u64>, bool)>,
    /// Up to the end of the last segment, in bytes.
    size: usize,
}

impl Memory {
    fn of(file: &File<'_>) -> Result<Self, FileError> {
        let endian = file.endian();
        let segments: Vec<(Range<u64>, bool)> = file
            .elf_program_headers()
            .iter()
            .filter(|segment| segment.p_type(endian) == PT_LOAD)
            .map(|segment| {
                let start = segment.p_vaddr(endian);
                let end = start.checked_add(segment.p_memsz(endian))?;
                Some((start..end, segment.p_flags(endian).contains(PF_W)))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| damaged("a segment exceeds the address space"))?;
        let low = segments.iter().map(|(range, _)| range.start).min();
        let size = segments.iter().map(|(range, _)| range.end).max().unwrap_or(0);
        if low != Some(0) || size > LARGEST {
            let what = "a file that does not begin at address 0 or has more than 1 GiB";
            return Err(FileError::Unsupported(what.into()));
        }
        Ok(Self { segments, size: size as usize })
    }

    fn is_writable(&self, range: &Range<u64>) -> bool {
        self.segments.iter().any(|(segment, writable)| {
            *writable && segment.start <= range.start && range.end <= segment.end
        })
    }
}

/// The readable parts. Their addresses are below the limit that `Memory` has checked.
fn mapped(file: &File<'_>) -> Vec<Span> {
    let endian = file.endian();
    let readable = file.elf_program_headers().iter().filter(|segment| {
        segment.p_type(endian) == PT_LOAD && segment.p_flags(endian).contains(PF_R)
    });
    let span = |segment: &ProgramHeader64<Endianness>| {
        let start = segment.p_vaddr(endian) as usize;
        Span {
            range: start..start + segment.p_memsz(endian) as usize,
            writable: segment.p_flags(endian).contains(PF_W),
            executable: segment.p_flags(endian).contains(PF_X),
        }
    };
    readable.map(span).collect()
}

/// The pages that are made read-only after relocation. The range is rounded as the dynamic linker rounds it.
fn sealed(file: &File<'_>, memory: &Memory) -> Option<Range<usize>> {
    let endian = file.endian();
    let mut segments = file.elf_program_headers().iter();
    let segment = segments.find(|segment| segment.p_type(endian) == PT_GNU_RELRO)?;
    let start = segment.p_vaddr(endian);
    let end = start.checked_add(segment.p_memsz(endian))?;
    let inside = memory.segments.iter().any(|(range, writable)| {
        *writable && range.start <= start && end <= range.end.next_multiple_of(PAGE)
    });
    inside.then_some((start & !(PAGE - 1)) as usize..(end & !(PAGE - 1)) as usize)
}

/// The dynamic symbols that matter.
struct Symbols {
    /// The address of `DriverEntry`.
    entry: Option<usize>,
    undefined: Vec<Undefined>,
    /// The place in `undefined` by the number of the symbol.
    numbers: HashMap<usize, usize>,
}

impl Symbols {
    fn of(
        bytes: &[u8],
        file: &File<'_>,
        layout: &Layout<'_>,
        dynamic: &Dynamic,
    ) -> Result<Self, FileError> {
        let (endian, table) = (file.endian(), file.elf_dynamic_symbol_table());
        let start = Self::place(file, layout, dynamic)?;
        let (mut entry, mut undefined, mut numbers) = (None, Vec::new(), HashMap::new());
        for (index, symbol) in table.enumerate() {
            if symbol.st_type() == STT_GNU_IFUNC {
                return Err(chosen_while_loaded());
            }
            let name = symbol.name(endian, table.strings());
            let name = name.map_err(|error| FileError::Damaged(error.to_string()))?;
            let name = String::from_utf8_lossy(name).into_owned();
            if !symbol.is_undefined(endian) {
                if name == "DriverEntry" {
                    entry = usize::try_from(symbol.st_value(endian)).ok();
                }
                continue;
            }
            let binding = symbol.st_bind();
            if name.is_empty() || symbol.st_type() == STT_TLS {
                continue;
            }
            if binding == STB_GLOBAL || binding == STB_WEAK {
                let info = usize::try_from(start).ok().and_then(|start| {
                    let at = start.checked_add(index.0.checked_mul(SYMBOL)?)?.checked_add(INFO)?;
                    // This byte will be changed, so it must not be among the checked ones.
                    let free = !dynamic.checked.iter().any(|range| range.contains(&at));
                    (at < bytes.len() && free).then_some(at)
                });
                let info = info.ok_or_else(|| {
                    damaged("its dynamic symbols are outside the file or overlap another table")
                })?;
                numbers.insert(index.0, undefined.len());
                undefined.push(Undefined { name, weak: binding == STB_WEAK, info });
            }
        }
        Ok(Self { entry, undefined, numbers })
    }

    /// The table's place in the file. This code finds the symbols through sections. They must be the ones that the dynamic linker finds
    /// through its own table.
    fn place(file: &File<'_>, layout: &Layout<'_>, dynamic: &Dynamic) -> Result<u64, FileError> {
        let table = file.elf_dynamic_symbol_table();
        let section = file.section_by_index(table.section()).map_err(|_| {
            let what =
                "a file without a table of dynamic symbols (was it stripped of its sections?)";
            FileError::Unsupported(what.into())
        })?;
        let (start, _) = section
            .file_range()
            .ok_or_else(|| damaged("its dynamic symbols have no place in the file"))?;
        let names = file.section_by_index(table.string_section()).ok();
        let names = names.and_then(|names| Some(names.file_range()?.0));
        let reads = |names| dynamic.reads(layout, (start, table.len()), names);
        if names.is_some_and(reads) {
            Ok(start)
        } else {
            Err(damaged("its sections and its dynamic table differ"))
        }
    }
}

/// The places that are filled with addresses of undefined symbols, and the number of all relocations.
fn slots(
    file: &File<'_>,
    memory: &Memory,
    symbols: &Symbols,
) -> Result<(Vec<Slot>, usize), FileError> {
    let mut slots = Vec::new();
    let mut relocations = 0;
    for (at, relocation) in file.dynamic_relocations().into_iter().flatten() {
        relocations += 1;
        let RelocationTarget::Symbol(index) = relocation.target() else { continue };
        let Some(&symbol) = symbols.numbers.get(&index.0) else { continue };
        let RelocationFlags::Elf { r_type } = relocation.flags() else { continue };
        let addend = match r_type {
            R_X86_64_GLOB_DAT | R_X86_64_JUMP_SLOT => 0,
            R_X86_64_64 => relocation.addend(),
            _ => {
                let name = &symbols.undefined[symbol].name;
                let what = format!("a reference to {name} of relocation type {r_type:?}");
                return Err(FileError::Unsupported(what));
            }
        };
        let is_inside = at.checked_add(8).is_some_and(|end| memory.is_writable(&(at..end)));
        if !is_inside {
            return Err(FileError::Damaged(format!("a relocation at {at:#x}, outside its data")));
        }
        slots.push(Slot { at: at as usize, symbol, addend: addend as isize });
    }
    Ok((slots, relocations))
}

/// The sections that are mapped. The others only describe the file.
fn sections(file: &File<'_>) -> Vec<Section> {
    let sections = file.sections().filter_map(|section| {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { return None };
        let mapped = Section {
            name: section.name().unwrap_or("?").to_owned(),
            start: usize::try_from(section.address()).ok()?,
            size: usize::try_from(section.size()).ok()?,
            writable: sh_flags.contains(SHF_WRITE),
            executable: sh_flags.contains(SHF_EXECINSTR),
            from: (0, 0),
        };
        sh_flags.contains(SHF_ALLOC).then_some(mapped)
    });
    sections.collect()
}

pub(super) fn no_entry() -> FileError {
    FileError::NotADriver("a shared object without DriverEntry".to_owned())
}
