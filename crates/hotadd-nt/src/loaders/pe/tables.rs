//! [`Tables`]: an image's imports and exports, and the locations of its security cookie and its unwind tables. They
//! are read from the image as laid out in memory, before anything in it is changed.

use std::ops::Range;

use object::pe::{self, ImageLoadConfigDirectory64, ImageNtHeaders64, ImageRuntimeFunctionEntry};
use object::read::pe::{ExportTable, ImageThunkData, ImportTable};
use object::{LittleEndian as LE, ReadRef};

use super::error::FileError;
use super::headers::Headers;

const MOST_MODULES: usize = 256;
const MOST_IMPORTS: usize = 4096;
const MOST_EXPORTS: usize = 65_536;
/// The maximum length of a module's or function's name. C++ has produced names of hundreds of characters.
const LONGEST: usize = 2048;

/// An import of an image.
#[derive(Debug)]
pub(super) struct Slot {
    /// The file in which the image expects it.
    pub(super) module: String,
    /// Its name, or `#N` for an import by number.
    pub(super) name: String,
    /// The offset at which its address is to be written.
    pub(super) place: usize,
}

/// A named export of an image.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    /// Its offset. It is beyond the end of the image if another image provides it.
    pub(super) place: usize,
}

/// The content of an image's tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) imports: Vec<Slot>,
    /// In the table's order.
    pub(super) exports: Vec<Named>,
    /// The offset of its security cookie.
    pub(super) cookie: Option<usize>,
    /// The range of its function table, in whole entries.
    pub(super) functions: Range<usize>,
}

fn damaged(what: impl Into<String>) -> FileError {
    FileError::Damaged(what.into())
}

impl Tables {
    pub(super) fn parse(headers: &Headers, image: &[u8]) -> Result<Self, FileError> {
        Ok(Self {
            imports: imports(headers, image)?,
            exports: exports(headers, image)?,
            cookie: cookie(headers, image)?,
            functions: functions(headers)?,
        })
    }
}

/// The text at this offset, which ends with a zero.
fn text(image: &[u8], start: usize) -> Option<String> {
    let bytes = image.get(start..)?;
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let text = std::str::from_utf8(bytes.split(|byte| *byte == 0).next()?).ok()?;
    let whole = text.len() < bytes.len() && !text.is_empty();
    // Names are shown to people, and some texts contain terminal commands.
    (whole && hotadd::text::is_clean(text)).then(|| text.to_owned())
}

fn imports(headers: &Headers, image: &[u8]) -> Result<Vec<Slot>, FileError> {
    let mut slots: Vec<Slot> = Vec::new();
    let Some((start, _)) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_IMPORT) else {
        return Ok(slots);
    };
    let bad = |error: object::Error| damaged(format!("its imports: {error}"));
    let table = ImportTable::new(image, 0, start as u32);
    let mut modules = table.descriptors().map_err(bad)?;
    let mut count = 0;
    while let Some(descriptor) = modules.next().map_err(bad)? {
        count += 1;
        if count > MOST_MODULES {
            return Err(FileError::TooLarge(format!(
                "imports from more than {MOST_MODULES} files"
            )));
        }
        let Some(module) = text(image, descriptor.name.get(LE) as usize) else {
            return Err(damaged(format!("the name of file {count} that it imports from")));
        };
        let first = descriptor.first_thunk.get(LE);
        // In images without a separate list of names, the list for the addresses contains the names.
        let names = match descriptor.original_first_thunk.get(LE) {
            0 => first,
            names => names,
        };
        let mut thunks = table.thunks(names).map_err(bad)?;
        let mut place = first as usize;
        while let Some(thunk) = thunks.next::<ImageNtHeaders64>().map_err(bad)? {
            if slots.len() == MOST_IMPORTS {
                return Err(FileError::TooLarge(format!("more than {MOST_IMPORTS} imports")));
            }
            let name = if thunk.is_ordinal() {
                format!("#{}", thunk.ordinal())
            } else {
                // Two bytes of a hint precede the name.
                let name = (thunk.address() as usize).checked_add(2);
                name.and_then(|name| text(image, name)).ok_or_else(|| {
                    damaged(format!("the name of import {} from {module}", slots.len()))
                })?
            };
            if place > image.len().saturating_sub(8) || place == 0 {
                return Err(damaged(format!("the slot of {module}!{name} is not in the image")));
            }
            slots.push(Slot { module: module.clone(), name, place });
            place += 8;
        }
    }
    Ok(slots)
}

fn exports(headers: &Headers, image: &[u8]) -> Result<Vec<Named>, FileError> {
    let Some((start, size)) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_EXPORT) else {
        return Ok(Vec::new());
    };
    let bad = |error: object::Error| damaged(format!("its exports: {error}"));
    let table = ExportTable::parse(&image[start..start + size], start as u32).map_err(bad)?;
    if table.name_pointers().len() > MOST_EXPORTS {
        return Err(FileError::TooLarge(format!("more than {MOST_EXPORTS} exports")));
    }
    let named = table.name_iter().enumerate().map(|(number, (name, index))| {
        let name = text(image, name as usize)
            .ok_or_else(|| damaged(format!("the name of export {number}")))?;
        let address = table.address_by_index(index).map_err(bad)?;
        // An address inside the table leads to a text that names another image's function.
        let place = if table.is_forward(address) { usize::MAX } else { address as usize };
        Ok(Named { name, place })
    });
    named.collect()
}

/// The offset of the value by which functions detect that their frame was overwritten.
fn cookie(headers: &Headers, image: &[u8]) -> Result<Option<usize>, FileError> {
    const END: usize = std::mem::offset_of!(ImageLoadConfigDirectory64, security_cookie) + 8;
    let Some((start, _)) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG) else {
        return Ok(None);
    };
    // The structure has grown over the years. Its first field states how much of it is present.
    let stated =
        image.read_at::<object::U32<LE>>(start as u64).map_or(0, |size| size.get(LE) as usize);
    if stated < END {
        return Ok(None);
    }
    let place = start + END - 8;
    let Ok(address) = image.read_at::<object::U64<LE>>(place as u64) else { return Ok(None) };
    let address = address.get(LE);
    if address == 0 {
        return Ok(None);
    }
    let place = address.checked_sub(headers.base).and_then(|place| usize::try_from(place).ok());
    let inside =
        |place: &usize| headers.sections.iter().any(|s| s.writable && s.contains(*place, 8));
    match place.filter(inside) {
        Some(place) => Ok(Some(place)),
        None => Err(damaged(format!("its security cookie {address:#x} is not in writable memory"))),
    }
}

/// The range of the function table.
fn functions(headers: &Headers) -> Result<Range<usize>, FileError> {
    let Some((start, size)) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION) else {
        return Ok(0..0);
    };
    let size = size - size % size_of::<ImageRuntimeFunctionEntry>();
    if !headers.sections.iter().any(|section| section.contains(start, size)) {
        return Err(damaged(format!(
            "its function table of {size:#x} bytes at {start:#x} is not within a section"
        )));
    }
    Ok(start..start + size)
}
