//! Native drivers: shared objects, built from a Windows driver's source for this system.
//!
//! We bind a driver's imports ourselves, and not through the dynamic symbols of our program. Were they there, every library of
//! this process would be bound to them, and some share their name with what the C library has for 4-byte characters
//! (`wcslen`). So what is undefined is made weak in our copy of the file, the system's linker leaves what it does not know,
//! and then each slot is filled from what [the kernel](Services) provides.

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

/// What our headers put before the names of the C library's functions, of which this system has others.
const OURS: &str = "hotadd_";

/// A native driver in memory. Dropping it takes it out again: nothing of it may run any more.
pub(crate) struct Native {
    image: &'static Image,
    entry: Routine,
    base: usize,
    /// What the linker does not run for it: its constructors and destructors.
    begin: Steps,
    end: Steps,
    _library: Library,
    /// What it was loaded from. Held, because the number is in the name that the linker knows it by, and it would take the next
    /// driver under the same number for this one.
    _file: fs::File,
    _missing: Memory,
}

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
        // SAFETY: a copy that was checked, and that tells the linker of no code to run: no constructors, no resolvers.
        let library = unsafe { Library::open(Some(&path), RTLD_LAZY | RTLD_LOCAL) };
        // What the linker says is behind the error, and begins with the path, which is of no use to anybody.
        let library = library.map_err(|error| {
            let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            FileError::Unsupported(said.replace(&path, name))
        })?;
        // SAFETY: a symbol that is used as an address alone.
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
        let (_library, _file, _missing) = (library, file, missing);
        Ok(Self { image, entry, base, begin, end, _library, _file, _missing })
    }

    pub(crate) fn entry(&self) -> Routine {
        self.entry
    }

    /// What the compiler has it do at the start: C++'s objects, `__attribute__((constructor))`. Each gets no arguments.
    pub(crate) fn construct(&self) {
        let Steps { function, pointers } = &self.begin;
        let function = function.map(|at| self.base + at);
        function.into_iter().chain(self.targets(pointers.clone())).for_each(run);
    }

    /// What the compiler has it do at the end.
    pub(crate) fn destruct(&self) {
        let Steps { function, pointers } = &self.end;
        let function = function.map(|at| self.base + at);
        let targets: Vec<usize> = self.targets(pointers.clone()).collect();
        targets.into_iter().rev().chain(function).for_each(run);
    }

    /// The functions that these of its words point to. Read as each is run: the one before may have changed the next.
    fn targets(&self, pointers: Range<usize>) -> impl Iterator<Item = usize> {
        let base = self.base;
        pointers.step_by(size_of::<usize>()).map(move |at| {
            // SAFETY: words of its data, by what was checked in `Dynamic::parse`. Others may write to them: it is volatile.
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

/// Runs a function that takes nothing. A null pointer is none.
fn run(at: usize) {
    if let Some(routine) = Routine::new(ptr::with_exposed_provenance(at)) {
        // SAFETY: what the file calls a constructor or destructor: it takes no more than an argument count and two lists, all none.
        unsafe { routine.call([0; 4]) };
    }
}

/// Fills the slots of what we provide, and of what nobody does: of that there is a page for each, so that whatever is done to
/// it is seen and says which it is. Returns these, and their names.
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
            (Some(export), _) => export.address(Abi::SysV) as usize,
            (None, Ok(number)) => pages.base() + number * PAGE,
            (None, Err(_)) => continue,
        };
        writes.push((base + at, target.wrapping_add_signed(*addend)));
    }
    // The linker has made part of it read-only.
    let sealed = elf.sealed.clone().map(|range| (base + range.start, range.len()));
    let seal = |flags| {
        let Some((start, size)) = sealed else { return Ok(()) };
        // SAFETY: pages of this image that nobody has a reference to, by what was checked in `Elf::parse`.
        unsafe { mprotect(ptr::without_provenance_mut(start), size, flags) }
    };
    seal(MprotectFlags::READ | MprotectFlags::WRITE).map_err(cannot)?;
    for (at, target) in writes {
        // SAFETY: eight bytes of a writable segment of this image, by what was checked in `Elf::parse`.
        unsafe { ptr::with_exposed_provenance_mut::<usize>(at).write_unaligned(target) };
    }
    seal(MprotectFlags::READ).map_err(cannot)?;
    Ok((pages, missing))
}

/// What we provide under this name.
fn provided(services: &Services, name: &str) -> Option<Export> {
    (services.find)(name.strip_prefix(OURS).unwrap_or(name), Abi::SysV)
}

/// Whether the linker has found this in the system's libraries or the driver's own.
fn knows(library: &Library, name: &str) -> bool {
    let Ok(symbol) = CString::new(name) else { return false };
    // SAFETY: a symbol that is used as an address alone.
    let found = unsafe { library.get::<*const c_void>(symbol.as_bytes_with_nul()) };
    found.is_ok_and(|symbol| !symbol.as_raw_ptr().is_null()) || system_has(name)
}

/// Whether a library that is in this process anyway has this: the C library's.
fn system_has(name: &str) -> bool {
    let Ok(symbol) = CString::new(name) else { return false };
    // SAFETY: looks up an address in the libraries that are there.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) };
    !found.is_null()
}

/// The file as the linker is given it: everything undefined is weak, since the linker is to leave to us what it does not know; and it is
/// told of no code to run.
pub(crate) fn for_the_linker(elf: &Elf, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for symbol in &elf.undefined {
        bytes[symbol.info] = (object::elf::STB_WEAK.0 << 4) | (bytes[symbol.info] & 0xf);
    }
    elf.dynamic.take_out(&mut bytes);
    bytes
}

/// That in memory. Nobody can change it any more: a driver that has its descriptor could change code that runs.
fn copy(elf: &Elf, bytes: &[u8], name: &str) -> std::io::Result<fs::File> {
    let bytes = for_the_linker(elf, bytes);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // A name for /proc/PID/maps; it may not be too long.
    let shown: String = name.chars().filter(char::is_ascii_graphic).take(64).collect();
    let mut file = fs::File::from(rustix::fs::memfd_create(shown, flags)?);
    file.write_all(&bytes)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}
