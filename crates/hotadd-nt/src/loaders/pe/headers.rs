//! [`Headers`]: the kind of a file, and the location of its parts. Every number is checked here once, against the
//! file and against the other numbers. Later users need not check again.

use object::pe::{self, ImageNtHeaders64, ImageSectionHeader};
use object::read::pe::ImageNtHeaders;
use object::{LittleEndian as LE, ReadRef};

use super::error::FileError;
use super::sniff;
use crate::ground::memory::PAGE;

/// The maximum size of a file.
pub(super) const MOST_BYTES: usize = 64 << 20;
/// The maximum size of an image.
const MOST_MEMORY: usize = 256 << 20;
/// The limit of the format's own loader.
const MOST_SECTIONS: usize = 96;

/// A part of an image, as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name; non-ASCII characters are shown as `?`.
    pub name: String,
    /// Its offset from the image's lowest address.
    pub start: usize,
    /// Its size in memory, rounded up to whole pages.
    pub size: usize,
    /// Whether it is writable. Never if it is executable.
    pub writable: bool,
    /// Whether it is executable.
    pub executable: bool,
    /// The range of the file's bytes at its beginning.
    pub(crate) from: (usize, usize),
}

/// A file that is a driver for this machine, and the location of its parts.
#[derive(Debug)]
pub(super) struct Headers {
    /// Its preferred address.
    pub(super) base: u64,
    /// Its size in memory, in whole pages.
    pub(super) size: usize,
    /// The size of the headers at its beginning, in bytes.
    pub(super) headers: usize,
    /// Its entry point; 0 if it has none.
    pub(super) entry: usize,
    /// The linker's timestamp, in seconds since 1970. Reproducible builds store a hash there.
    pub(super) timestamp: u32,
    /// Whether it can be loaded only at its preferred address.
    pub(super) fixed: bool,
    /// Whether a certificate table is attached.
    pub(super) signed: bool,
    pub(super) sections: Vec<Section>,
    /// Start and size of each table in memory, (0, 0) for an absent one.
    pub(super) directories: [(usize, usize); pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES],
}

fn damaged(what: impl Into<String>) -> FileError {
    FileError::Damaged(what.into())
}

/// Refuses files that are too large to inspect.
pub(super) fn check_size(bytes: &[u8]) -> Result<(), FileError> {
    if bytes.len() > MOST_BYTES {
        return Err(FileError::TooLarge(format!("a file of more than {} MiB", MOST_BYTES >> 20)));
    }
    Ok(())
}

impl Headers {
    /// Parses and checks a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        check_size(bytes)?;
        let mut offset = find_signature(bytes)?;
        check_machine(bytes, offset)?;
        let (nt, directories) = ImageNtHeaders64::parse(bytes, &mut offset)
            .map_err(|error| FileError::Truncated(format!("its headers: {error}")))?;
        check_kind(nt)?;
        let optional = nt.optional_header();
        let size = check_dimensions(nt)?;
        let headers = optional.size_of_headers.get(LE) as usize;
        if headers > bytes.len() {
            let what = format!("its headers end at {headers:#x}, after the end of the file");
            return Err(FileError::Truncated(what));
        }
        let count = usize::from(nt.file_header().number_of_sections.get(LE));
        if count > MOST_SECTIONS {
            let what = format!("{count} sections; the limit is {MOST_SECTIONS}");
            return Err(FileError::TooLarge(what));
        }
        let table = nt
            .sections(bytes, offset)
            .map_err(|_| FileError::Truncated(format!("its table of {count} sections")))?;
        let mut sections = Vec::with_capacity(count);
        // Sections follow the headers and one another in ascending order. This also excludes overlaps.
        let mut end = round_up(headers);
        for header in table.iter() {
            let section = section(header, bytes.len())?;
            let (name, start) = (&section.name, section.start);
            // The start of an empty section is checked too.
            if start < end
                || start > size
                || !start.is_multiple_of(PAGE)
                || section.size > size.saturating_sub(start)
            {
                return Err(damaged(format!(
                    "section {name} has {:#x} bytes at {start:#x}, which is misaligned, overlaps another \
                     section or exceeds the image of {size:#x}",
                    section.size
                )));
            }
            end = start + section.size;
            sections.push(section);
        }
        let mut places = [(0, 0); _];
        for (place, directory) in places.iter_mut().zip(directories.iter()) {
            let (start, size) = directory.address_range();
            *place = (start as usize, size as usize);
        }
        let signed = take_signature(&mut places, bytes.len())?;
        for (number, (start, length)) in places.iter_mut().enumerate() {
            if *length == 0 || *start == 0 {
                (*start, *length) = (0, 0);
            } else if *start >= size || *length > size - *start {
                return Err(damaged(format!(
                    "table {number} has {length:#x} bytes at {start:#x}, after the end of the image"
                )));
            }
        }
        let entry = optional.address_of_entry_point.get(LE) as usize;
        let this = Self {
            base: optional.image_base.get(LE),
            size,
            headers,
            entry,
            timestamp: nt.file_header().time_date_stamp.get(LE),
            fixed: nt
                .file_header()
                .characteristics
                .get(LE)
                .contains(pe::IMAGE_FILE_RELOCS_STRIPPED),
            signed,
            sections,
            directories: places,
        };
        if entry != 0 && !this.sections.iter().any(|s| s.executable && s.contains(entry, 1)) {
            return Err(damaged(format!("its entry point {entry:#x} is not in executable memory")));
        }
        Ok(this)
    }

    /// A table's start and size, if it exists.
    pub(super) fn directory(&self, number: usize) -> Option<(usize, usize)> {
        self.directories.get(number).copied().filter(|(_, size)| *size != 0)
    }

    /// Copies the file's bytes to their places in memory, which has the image's size and is zero.
    pub(super) fn lay_out(&self, bytes: &[u8], image: &mut [u8]) {
        image[..self.headers].copy_from_slice(&bytes[..self.headers]);
        for section in &self.sections {
            let (from, length) = section.from;
            image[section.start..section.start + length]
                .copy_from_slice(&bytes[from..from + length]);
        }
    }
}

impl Section {
    /// Whether this many bytes from this offset lie in the section.
    pub(super) fn contains(&self, start: usize, length: usize) -> bool {
        start >= self.start && length <= self.size && start - self.start <= self.size - length
    }
}

/// Rounds up to whole pages. The argument comes from 32 bits, so this cannot overflow.
pub(super) fn round_up(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE)
}

/// The offset of the header that follows the DOS header.
fn find_signature(bytes: &[u8]) -> Result<u64, FileError> {
    if !bytes.starts_with(b"MZ") {
        return Err(FileError::NotADriver(sniff::describe(bytes)));
    }
    let Ok(dos) = bytes.read_at::<pe::ImageDosHeader>(0) else {
        let what = format!("a DOS header of 64 bytes in a file of {}", bytes.len());
        return Err(FileError::Truncated(what));
    };
    let offset = u64::from(dos.e_lfanew.get(LE));
    let what = match bytes.read_bytes_at(offset, 4) {
        Ok(b"PE\0\0") => return Ok(offset),
        Ok([b'N', b'E', ..]) => "a 16-bit Windows program",
        Ok([b'L', b'E' | b'X', ..]) => "a VxD, or another linear executable",
        _ => "a DOS program, or a PE image truncated after its first header",
    };
    Err(FileError::NotADriver(what.into()))
}

/// Checks the machine first, because the headers of other machines have other layouts.
fn check_machine(bytes: &[u8], offset: u64) -> Result<(), FileError> {
    let Ok(header) = bytes.read_at::<pe::ImageFileHeader>(offset + 4) else {
        return Err(FileError::Truncated("it ends in its header".into()));
    };
    let what = match header.machine.get(LE) {
        pe::IMAGE_FILE_MACHINE_AMD64 => return Ok(()),
        pe::IMAGE_FILE_MACHINE_I386 => "a 32-bit (i386) PE",
        pe::IMAGE_FILE_MACHINE_ARM64 => "an ARM64 PE",
        pe::IMAGE_FILE_MACHINE_ARM | pe::IMAGE_FILE_MACHINE_ARMNT => "a 32-bit (ARM) PE",
        pe::IMAGE_FILE_MACHINE_IA64 => "an Itanium PE",
        pe::IMAGE_FILE_MACHINE_RISCV64 => "a RISC-V PE",
        machine => {
            return Err(FileError::NotADriver(format!("a PE for machine type {:#x}", machine.0)));
        }
    };
    Err(FileError::NotADriver(what.into()))
}

fn check_kind(nt: &ImageNtHeaders64) -> Result<(), FileError> {
    let flags = nt.file_header().characteristics.get(LE);
    let not = |what: &str| Err(FileError::NotADriver(what.into()));
    if !flags.contains(pe::IMAGE_FILE_EXECUTABLE_IMAGE) {
        return not("a PE whose linking did not complete");
    }
    let library = flags.contains(pe::IMAGE_FILE_DLL);
    match nt.optional_header().subsystem.get(LE) {
        pe::IMAGE_SUBSYSTEM_NATIVE => Ok(()),
        pe::IMAGE_SUBSYSTEM_WINDOWS_GUI | pe::IMAGE_SUBSYSTEM_WINDOWS_CUI if library => {
            not("a Windows library (DLL), not a native driver")
        }
        pe::IMAGE_SUBSYSTEM_WINDOWS_GUI => not("a Windows program (GUI), not a native driver"),
        pe::IMAGE_SUBSYSTEM_WINDOWS_CUI => not("a Windows program (console), not a native driver"),
        pe::IMAGE_SUBSYSTEM_EFI_APPLICATION
        | pe::IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER
        | pe::IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER
        | pe::IMAGE_SUBSYSTEM_EFI_ROM => not("an EFI program"),
        other => Err(FileError::NotADriver(format!(
            "a PE for subsystem {}, not a native driver",
            other.0
        ))),
    }
}

/// Checks the numbers that describe the whole image, and returns its size.
fn check_dimensions(nt: &ImageNtHeaders64) -> Result<usize, FileError> {
    let optional = nt.optional_header();
    let alignment = optional.section_alignment.get(LE) as usize;
    if !alignment.is_power_of_two() || alignment < PAGE {
        // Such sections share pages, so they cannot have separate protections.
        let what = format!("sections aligned to {alignment:#x} bytes, which is less than a page");
        return Err(FileError::Unsupported(what));
    }
    let size = optional.size_of_image.get(LE) as usize;
    if size > MOST_MEMORY {
        return Err(FileError::TooLarge(format!("an image of {size:#x} bytes")));
    }
    let size = round_up(size);
    let headers = optional.size_of_headers.get(LE) as usize;
    if headers > size || size == 0 {
        return Err(damaged(format!("an image of {size:#x} bytes with {headers:#x} of headers")));
    }
    Ok(size)
}

fn section(header: &ImageSectionHeader, file: usize) -> Result<Section, FileError> {
    let printable = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' };
    let name = header.raw_name().iter().take_while(|byte| **byte != 0).map(printable);
    let name: String = name.collect();
    let (from, stored) = (header.pointer_to_raw_data.get(LE), header.size_of_raw_data.get(LE));
    let (from, stored) = (from as usize, stored as usize);
    let end = from + stored;
    if stored != 0 && end > file {
        return Err(FileError::Truncated(format!(
            "section {name} ends at {end:#x}, after the end of the file ({file:#x})"
        )));
    }
    let size = match header.virtual_size.get(LE) as usize {
        0 => round_up(stored),
        size => round_up(size),
    };
    let flags = header.characteristics.get(LE);
    let executable = flags.contains(pe::IMAGE_SCN_MEM_EXECUTE);
    Ok(Section {
        name,
        start: header.virtual_address.get(LE) as usize,
        size,
        // Older linkers give INIT all three rights. Only the loader writes there, to the import table.
        writable: flags.contains(pe::IMAGE_SCN_MEM_WRITE) && !executable,
        executable,
        // The stored size may be larger, up to the file's alignment. If nothing is stored, the offset has no meaning.
        from: if stored == 0 { (0, 0) } else { (from, stored.min(size)) },
    })
}

/// Certificates follow the image in the file and are never in memory. Their location is a file offset.
fn take_signature(
    places: &mut [(usize, usize); pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES],
    file: usize,
) -> Result<bool, FileError> {
    let Some(place) = places.get_mut(pe::IMAGE_DIRECTORY_ENTRY_SECURITY) else { return Ok(false) };
    let (start, size) = std::mem::take(place);
    if size != 0 && start + size > file {
        let what = format!("its signature ends at {:#x}, after the end of the file", start + size);
        return Err(FileError::Truncated(what));
    }
    Ok(size != 0)
}
