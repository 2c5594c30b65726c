//! Native drivers: shared objects that are built from a Windows driver's source for this system.
//!
//! This crate binds a driver's imports itself, and not through the dynamic symbols of the program. If such symbols
//! existed, every library of this process would be bound to them, and some have the name of a C library function for
//! 4-byte characters (`wcslen`). So undefined symbols are made weak in this crate's copy of the file, the system's
//! linker leaves unknown ones unresolved, and then each slot is filled from what [the kernel](Services) provides.

mod dynamic;
mod elf;
mod hash;
mod inspect;

use std::error::Error as _;
use std::ffi::{CString, c_void};
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr;

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MprotectFlags, mprotect};

use self::dynamic::{Dynamic, Steps};
pub(crate) use self::elf::Elf;
use self::elf::Slot;
pub(crate) use self::inspect::inspect;
use crate::faults;
use crate::ground::abi::Abi;
use crate::ground::export::Export;
use crate::ground::images::{self, Image, Missing};
use crate::ground::memory::{Memory, PAGE};
use crate::ground::routine::Routine;
use crate::ground::services::Services;
use crate::loaders::pe::FileError;

/// The prefix that this project's headers add to the names of C library functions, since this system has other
/// functions with those names.
const OURS: &str = "hotadd_";

/// A native driver in memory. Dropping it unloads it, so none of its code may run any more.
pub(crate) struct Native {
    image: &'static Image,
    entry: Routine,
    base: usize,
    /// The code that the linker does not run for it: its constructors and destructors.
    begin: Steps,
    end: Steps,
    _library: Library,
    /// The file from which it was loaded. It is kept open because the linker knows the driver by a name that contains
    /// the descriptor's number. Otherwise the linker would mistake the next driver with the same number for this one.
    _file: fs::File,
    _missing: Memory,
    /// Address space behind it that is not accessible.
    _behind: Option<Memory>,
}

/// How much address space behind a library is not accessible.
const BEHIND: usize = 1 << 20;

impl Native {
    /// Loads a driver. None of its code runs yet.
    pub(crate) fn load(
        bytes: &[u8],
        name: &str,
        strict: bool,
        services: &'static Services,
    ) -> Result<Self, FileError> {
        let elf = Elf::parse(bytes)?;
        faults::install().map_err(|error| FileError::unwatched(&error))?;
        let file = copy(&elf, bytes, name)
            .map_err(|error| FileError::NoRoom(format!("a copy of it: {error}")))?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // The kernel maps from high addresses to low ones, so the library usually lies directly below this, and an index beyond an
        // array in it leads to a fault.
        let behind = Memory::reserve(BEHIND, None).ok();
        // SAFETY: it is a checked copy that tells the linker of no code to run: no constructors, no resolvers.
        let library = unsafe { Library::open(Some(&path), RTLD_LAZY | RTLD_LOCAL) };
        // The linker's message is the source of this error. It begins with the path, which helps no reader.
        let library = library.map_err(|error| {
            let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            FileError::Unsupported(said.replace(&path, name))
        })?;
        // SAFETY: the symbol is used only as an address.
        let entry = unsafe { library.get::<*const c_void>(b"DriverEntry\0") };
        let entry = entry.ok().map(|symbol| symbol.as_raw_ptr().cast_const());
        let entry = entry.and_then(Routine::new).ok_or_else(elf::no_entry)?;
        let base = entry.address().wrapping_sub(elf.entry);
        let (missing, names) = bind(&elf, &library, base, services)?;
        if strict && !names.is_empty() {
            return Err(FileError::Unresolved(names));
        }
        let missing_names = Missing { base: missing.base(), names };
        let image =
            Image::native(name.to_owned(), base, elf.size, elf.mapped, missing_names, services);
        let image = images::enter(image);
        let image = image.ok_or_else(|| FileError::NoRoom("too many drivers".into()))?;
        let Dynamic { begin, end, .. } = elf.dynamic;
        let (_library, _file, _missing, _behind) = (library, file, missing, behind);
        Ok(Self { image, entry, base, begin, end, _library, _file, _missing, _behind })
    }

    pub(crate) fn entry(&self) -> Routine {
        self.entry
    }

    /// Runs the compiler's startup code: C++ objects, `__attribute__((constructor))`. Each function gets no
    /// arguments.
    pub(crate) fn construct(&self) {
        let Steps { function, pointers } = &self.begin;
        let function = function.map(|at| self.base + at);
        function.into_iter().chain(self.targets(pointers.clone())).for_each(run);
    }

    /// Runs the compiler's exit code.
    pub(crate) fn destruct(&self) {
        let Steps { function, pointers } = &self.end;
        let function = function.map(|at| self.base + at);
        let targets: Vec<usize> = self.targets(pointers.clone()).collect();
        targets.into_iter().rev().chain(function).for_each(run);
    }

    /// The functions that these words point to. Each word is read just before its function runs, because the previous
    /// function may have changed it.
    fn targets(&self, pointers: Range<usize>) -> impl Iterator<Item = usize> {
        let base = self.base;
        pointers.step_by(size_of::<usize>()).map(move |at| {
            // SAFETY: the words are in the driver's data, as `Dynamic::parse` has checked. The read is volatile,
            // because other code may write to them.
            unsafe { ptr::with_exposed_provenance::<usize>(base + at).read_volatile() }
        })
    }

    pub(crate) fn image(&self) -> &'static Image {
        self.image
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        images::leave(self.image);
    }
}

/// Runs a function without arguments. A null pointer is ignored.
fn run(at: usize) {
    if let Some(routine) = Routine::new(ptr::with_exposed_provenance(at)) {
        // SAFETY: the file calls it a constructor or destructor, which takes at most an argument count and two lists;
        // all are zero here.
        unsafe { routine.call([0; 4]) };
    }
}

/// Fills the slots of the imports that are provided, and of the missing ones. Each missing import has a page of its
/// own, so that every access to it is detected and identifies it. Returns these pages and their names.
fn bind(
    elf: &Elf,
    library: &Library,
    base: usize,
    services: &Services,
) -> Result<(Memory, Vec<String>), FileError> {
    let cannot = |error: rustix::io::Errno| FileError::NoRoom(format!("its imports: {error}"));
    let unknown = |name: &str| provided(services, name).is_none() && !knows(library, name);
    let missing = elf.undefined.iter().filter(|symbol| !symbol.weak && unknown(&symbol.name));
    let mut missing: Vec<String> = missing.map(|symbol| symbol.name.clone()).collect();
    missing.sort_unstable();
    missing.dedup();
    let pages = Memory::reserve((missing.len() * PAGE).max(PAGE), None).map_err(cannot)?;
    let mut writes = Vec::new();
    for Slot { at, symbol, addend } in &elf.slots {
        let name = &elf.undefined[*symbol].name;
        let target = match (provided(services, name), missing.binary_search(name)) {
            (Some(export), _) => export.symbol() as usize,
            (None, Ok(number)) => pages.base() + number * PAGE,
            (None, Err(_)) => continue,
        };
        writes.push((base + at, target.wrapping_add_signed(*addend)));
    }
    // The linker has made part of the image read-only.
    let sealed = elf.sealed.clone().map(|range| (base + range.start, range.len()));
    let seal = |flags| {
        let Some((start, size)) = sealed else { return Ok(()) };
        // SAFETY: these are pages of this image, as `Elf::parse` has checked, and there is no reference to them.
        unsafe { mprotect(ptr::without_provenance_mut(start), size, flags) }
    };
    seal(MprotectFlags::READ | MprotectFlags::WRITE).map_err(cannot)?;
    for (at, target) in writes {
        // SAFETY: these are eight bytes of a writable segment of this image, as `Elf::parse` has checked.
        unsafe { ptr::with_exposed_provenance_mut::<usize>(at).write_unaligned(target) };
    }
    seal(MprotectFlags::READ).map_err(cannot)?;
    Ok((pages, missing))
}

/// The export that is provided under this name.
fn provided(services: &Services, name: &str) -> Option<Export> {
    (services.find)(name.strip_prefix(OURS).unwrap_or(name), Abi::SysV)
}

/// Whether the linker has found this in a system library or in the driver itself.
fn knows(library: &Library, name: &str) -> bool {
    let Ok(symbol) = CString::new(name) else { return false };
    // SAFETY: the symbol is used only as an address.
    let found = unsafe { library.get::<*const c_void>(symbol.as_bytes_with_nul()) };
    found.is_ok_and(|symbol| !symbol.as_raw_ptr().is_null()) || system_has(name)
}

/// Whether a library that is already in this process has this, such as the C library.
fn system_has(name: &str) -> bool {
    let Ok(symbol) = CString::new(name) else { return false };
    // SAFETY: this looks up an address in the loaded libraries.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) };
    !found.is_null()
}

/// The file as the linker receives it. All undefined symbols are weak, so that the linker leaves unknown ones to this
/// crate; and the linker is told of no code to run.
pub(crate) fn for_the_linker(elf: &Elf, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for symbol in &elf.undefined {
        bytes[symbol.info] = (object::elf::STB_WEAK.0 << 4) | (bytes[symbol.info] & 0xf);
    }
    elf.dynamic.take_out(&mut bytes);
    bytes
}

/// That file in memory, sealed against changes. Otherwise a driver that has the descriptor could change running code.
fn copy(elf: &Elf, bytes: &[u8], name: &str) -> std::io::Result<fs::File> {
    let bytes = for_the_linker(elf, bytes);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // The name that /proc/PID/maps shows; its length is limited.
    let shown: String = name.chars().filter(char::is_ascii_graphic).take(64).collect();
    let mut file = fs::File::from(rustix::fs::memfd_create(shown, flags)?);
    file.write_all(&bytes)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}
