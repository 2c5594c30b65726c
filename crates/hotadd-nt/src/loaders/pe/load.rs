//! [`load`]: loads a file as an image in memory, from which code can be called.

use std::io;
use std::ptr;

use rustix::io::Errno;
use rustix::mm::MprotectFlags;

use super::error::FileError;
use super::headers::Headers;
use super::relocate;
use super::tables::{Named, Slot, Tables};
use crate::faults;
use crate::ground::abi::Abi;
use crate::ground::frameworks;
use crate::ground::images::{self, Image, Missing, Span};
use crate::ground::memory::{Memory, PAGE};
use crate::ground::routine::Routine;
use crate::ground::services::Services;

/// How much address space behind an image is not accessible, so that an index beyond an array in it leads to a fault.
const BEHIND: usize = 1 << 20;

/// The compilers' initial value of a security cookie. Images that find it unchanged refuse to run.
const DEFAULT_COOKIE: u64 = 0x2B99_2DDF_A232;

/// A driver's image in memory. Dropping it unmaps it, so its code must not be running or be called later.
#[derive(Debug)]
pub struct Loaded {
    image: &'static Image,
    entry: Routine,
    exports: Vec<Named>,
    /// Freed after the image was removed from the table.
    _memory: Memory,
    _missing: Memory,
}

impl Loaded {
    /// Its entry point: `DriverEntry`, or a function that the compiler placed before it.
    #[must_use]
    pub fn entry(&self) -> Routine {
        self.entry
    }

    /// A function that it exports under this name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<Routine> {
        let place = self.exports.iter().find(|export| export.name == name)?.place;
        let inside = |span: &Span| span.executable && span.range.contains(&place);
        let executable = self.image.sections.iter().any(inside);
        Routine::new(ptr::without_provenance(self.image.base.checked_add(place)?))
            .filter(|_| executable)
    }

    /// Its image in memory.
    #[must_use]
    pub fn image(&self) -> &'static Image {
        self.image
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        images::leave(self.image);
    }
}

/// Loads a driver under a name. If it uses an import that nothing provides, it stops there; with `strict` such a
/// driver is refused. None of its code runs yet.
///
/// # Errors
/// It is not a driver that can be loaded, or there is not enough memory.
pub(crate) fn load(
    bytes: &[u8],
    name: &str,
    strict: bool,
    services: &'static Services,
) -> Result<Loaded, FileError> {
    let headers = Headers::parse(bytes)?;
    if headers.entry == 0 {
        return Err(FileError::Unsupported(
            "a library of functions for other drivers: it has no entry point".into(),
        ));
    }
    faults::install().map_err(|error| FileError::unwatched(&error))?;
    let no_room = |error: Errno| FileError::NoRoom(io::Error::from(error).to_string());
    let fixed = headers.fixed.then_some(headers.base as usize);
    let mut memory =
        Memory::reserve_before(headers.size, fixed, BEHIND).map_err(|error| match fixed {
            Some(base) => FileError::Unsupported(format!(
                "it has no relocations and cannot be loaded at {base:#x}"
            )),
            None => no_room(error),
        })?;
    let base = memory.base();
    let image = memory.bytes().map_err(no_room)?;
    headers.lay_out(bytes, image);
    let tables = Tables::parse(&headers, image)?;
    let modules = tables.imports.iter().map(|slot| &*slot.module);
    if let Some(framework) = frameworks::among(modules).into_iter().find(|one| one.at_start) {
        return Err(FileError::Framework(framework));
    }
    let places = relocate::places(&headers, image)?;
    relocate::apply(&places, image, headers.base, base as u64);

    let find = |slot: &Slot| (services.find)(&slot.name, Abi::Win64);
    let resolve = |slot: &Slot| find(slot).map(|export| export.address(Abi::Win64));
    let unresolved: Vec<String> =
        tables.imports.iter().filter(|slot| resolve(slot).is_none()).map(full_name).collect();
    if strict && !unresolved.is_empty() {
        return Err(FileError::Unresolved(unresolved));
    }
    // Each missing import has a page of its own, so that every access to it is detected and identifies it.
    let missing = Memory::reserve((unresolved.len() * PAGE).max(PAGE), None).map_err(no_room)?;
    let mut pages = (missing.base()..).step_by(PAGE);
    for slot in &tables.imports {
        let address = resolve(slot)
            .map_or_else(|| pages.next().unwrap_or_default(), |address| address as usize);
        image[slot.place..slot.place + 8].copy_from_slice(&address.to_le_bytes());
    }
    if let Some(place) = tables.cookie {
        image[place..place + 8].copy_from_slice(&new_cookie()?.to_le_bytes());
    }
    let sections = protect(&headers, &mut memory).map_err(no_room)?;
    let entry = Routine::new(ptr::without_provenance(base + headers.entry));
    let entry = entry.ok_or_else(|| FileError::Damaged("its entry point is address 0".into()))?;
    let image = Image {
        name: name.into(),
        base,
        size: headers.size,
        abi: Abi::Win64,
        sections,
        functions: tables.functions,
        missing: Missing { base: missing.base(), names: unresolved },
        services,
    };
    let image = images::enter(image).ok_or_else(|| FileError::NoRoom("too many drivers".into()))?;
    Ok(Loaded { image, entry, exports: tables.exports, _memory: memory, _missing: missing })
}

fn full_name(slot: &Slot) -> String {
    format!("{}!{}", slot.module, slot.name)
}

/// Gives every section the rights that it requests, and removes all rights from the gaps between them. No section is
/// both writable and executable.
fn protect(headers: &Headers, memory: &mut Memory) -> Result<Vec<Span>, Errno> {
    memory.protect(0, headers.size, MprotectFlags::empty())?;
    let start = Span { range: 0..headers.headers, writable: false, executable: false };
    let sections = headers.sections.iter().map(|section| Span {
        range: section.start..section.start + section.size,
        writable: section.writable,
        executable: section.executable,
    });
    let spans: Vec<Span> = std::iter::once(start).chain(sections).collect();
    for span in &spans {
        let mut flags = MprotectFlags::READ;
        flags.set(MprotectFlags::WRITE, span.writable);
        flags.set(MprotectFlags::EXEC, span.executable);
        let size = span.range.len().next_multiple_of(PAGE);
        if size != 0 {
            memory.protect(span.range.start, size, flags)?;
        }
    }
    Ok(spans)
}

/// An unpredictable cookie: 48 bits, because the upper ones are expected to be zero, and not the value that means
/// "not set".
fn new_cookie() -> Result<u64, FileError> {
    loop {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
            .map_err(io::Error::from)?;
        let cookie = u64::from_le_bytes(bytes) & 0xFFFF_FFFF_FFFF;
        if cookie != 0 && cookie != DEFAULT_COOKIE {
            return Ok(cookie);
        }
    }
}
