//! The table of loaded images: which address belongs to which driver. It is read in signal handlers, so without a lock.

use std::fmt;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use object::pod::Pod;

use crate::ground::abi::Abi;
use crate::ground::services::Services;

/// How many drivers may be loaded in one process at a time.
const MOST: usize = 64;

/// A loaded driver's code and data.
#[derive(Debug)]
pub struct Image {
    /// The file's name, without its folder.
    pub name: String,
    /// Its lowest address.
    pub base: usize,
    /// How many bytes of the address space it has.
    pub size: usize,
    /// The convention of its functions.
    pub abi: Abi,
    /// What is mapped of it, as far as its loader knows; the rest of its address space may not be. Places in it are from the
    /// image's lowest address.
    pub(crate) sections: Vec<Span>,
    /// Where its function table lies, which the unwinder reads; empty if it has none.
    pub(crate) functions: Range<usize>,
    /// What it imports and nobody provides.
    pub(crate) missing: Missing,
    /// What the kernel does for it.
    pub(crate) services: &'static Services,
}

impl Image {
    /// One that has no function table.
    pub(crate) fn native(
        name: String,
        base: usize,
        size: usize,
        sections: Vec<Span>,
        missing: Missing,
        services: &'static Services,
    ) -> Self {
        Self { name, base, size, abi: Abi::SysV, sections, functions: 0..0, missing, services }
    }

    /// The value there, from the image's lowest address; `None` where nothing is known to be mapped. May be called from a
    /// signal handler.
    pub(crate) fn value<T: Pod>(&self, place: usize) -> Option<T> {
        let inside =
            |span: &&Span| span.range.contains(&place) && span.range.end - place >= size_of::<T>();
        self.sections.iter().find(inside)?;
        // SAFETY: mapped and readable for as long as the image is; any bytes are such a value.
        Some(unsafe { ptr::with_exposed_provenance::<T>(self.base + place).read_unaligned() })
    }

    /// Whether that address may be executed, as far as its loader knows.
    pub(crate) fn executes(&self, address: usize) -> bool {
        let Some(place) = address.checked_sub(self.base) else { return false };
        self.sections.iter().any(|span| span.executable && span.range.contains(&place))
    }
}

/// A mapped part of an image.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) range: Range<usize>,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
}

/// What an image imports and nobody provides: each is an address at which nothing is, a page apart.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    pub(crate) base: usize,
    pub(crate) names: Vec<String>,
}

impl Missing {
    /// Which of them an address stands for.
    pub(crate) fn at(&self, address: usize) -> Option<&str> {
        let number = address.checked_sub(self.base)? / 4096;
        self.names.get(number).map(String::as_str)
    }
}

/// An address as people name it: `module+0xoffset`.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Where it lies.
    pub image: &'static Image,
    /// How far behind the image's lowest address.
    pub offset: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}", self.image.name, self.offset)
    }
}

static TABLE: [AtomicPtr<Image>; MOST] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST];

/// Enters an image. `None` if the table is full.
///
/// Its description is never freed, as somebody may be reading it: some hundred bytes for each driver ever loaded.
pub(crate) fn enter(image: Image) -> Option<&'static Image> {
    let image: *mut Image = Box::leak(Box::new(image));
    let free = |slot: &&AtomicPtr<Image>| {
        // Release: whoever reads the pointer sees what it points to.
        slot.compare_exchange(ptr::null_mut(), image, Ordering::Release, Ordering::Relaxed).is_ok()
    };
    // SAFETY: leaked above, and never written again.
    TABLE.iter().find(free).map(|_| unsafe { &*image })
}

/// Strikes an image out. Nothing of it runs any more.
pub(crate) fn leave(image: &'static Image) {
    let image = ptr::from_ref(image).cast_mut();
    for slot in &TABLE {
        // Nothing is published by this.
        let _ = slot.compare_exchange(image, ptr::null_mut(), Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// All images. May be called from a signal handler.
pub(crate) fn all() -> impl Iterator<Item = &'static Image> {
    TABLE.iter().filter_map(|slot| {
        // Acquire: pairs with the release in `enter`.
        let image = slot.load(Ordering::Acquire);
        // SAFETY: null, or leaked and never written again.
        unsafe { image.as_ref() }
    })
}

/// The image that an address lies in. May be called from a signal handler.
pub(crate) fn at(address: usize) -> Option<&'static Image> {
    all().find(|image| (image.base..image.base + image.size).contains(&address))
}

/// An address as people name it. May be called from a signal handler.
pub(crate) fn place(address: usize) -> Option<Place> {
    at(address).map(|image| Place { image, offset: address - image.base })
}
