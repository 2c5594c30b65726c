//! The table of loaded images, which maps an address to its driver. Signal handlers read it, so it uses no lock.

use std::fmt;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use object::pod::Pod;

use crate::ground::abi::Abi;
use crate::ground::services::Services;

/// How many drivers can be loaded in one process at a time.
const MOST: usize = 64;

/// A loaded driver's code and data.
#[derive(Debug)]
pub struct Image {
    /// The file's name, without its folder.
    pub name: String,
    /// Its lowest address.
    pub base: usize,
    /// Its size in the address space, in bytes.
    pub size: usize,
    /// The calling convention of its functions.
    pub abi: Abi,
    /// The mapped parts of the image, as far as its loader knows. The rest of its address space may be unmapped.
    /// Offsets in it are relative to the image's lowest address.
    pub(crate) sections: Vec<Span>,
    /// The range of its function table, which the unwinder reads; empty if it has none.
    pub(crate) functions: Range<usize>,
    /// The imports that nothing provides.
    pub(crate) missing: Missing,
    /// The kernel services for this image.
    pub(crate) services: &'static Services,
}

impl Image {
    /// An image that has no function table.
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

    /// The value at this offset from the image's lowest address; `None` where nothing is known to be mapped. May be
    /// called from a signal handler.
    pub(crate) fn value<T: Pod>(&self, place: usize) -> Option<T> {
        let inside =
            |span: &&Span| span.range.contains(&place) && span.range.end - place >= size_of::<T>();
        self.sections.iter().find(inside)?;
        // SAFETY: the range is mapped and readable as long as the image is, and any bytes are a valid value.
        Some(unsafe { ptr::with_exposed_provenance::<T>(self.base + place).read_unaligned() })
    }

    /// Whether this address is executable, as far as its loader knows.
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

/// The imports of an image that nothing provides. Each has an address where nothing is mapped, a page apart from the
/// next.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    pub(crate) base: usize,
    pub(crate) names: Vec<String>,
}

impl Missing {
    /// The import for which an address stands.
    pub(crate) fn at(&self, address: usize) -> Option<&str> {
        let number = address.checked_sub(self.base)? / 4096;
        self.names.get(number).map(String::as_str)
    }
}

/// An address in readable form: `module+0xoffset`.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The image that contains it.
    pub image: &'static Image,
    /// The offset from the image's lowest address.
    pub offset: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}", self.image.name, self.offset)
    }
}

static TABLE: [AtomicPtr<Image>; MOST] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST];

/// The number of slots that were ever used: those behind them are empty. Finding a driver's call looks up each word of a stack.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Enters an image. Returns `None` if the table is full.
///
/// Its description is never freed, since another thread may be reading it. This costs some hundred bytes for each
/// driver ever loaded.
pub(crate) fn enter(image: Image) -> Option<&'static Image> {
    let image: *mut Image = Box::leak(Box::new(image));
    let free = |slot: &&AtomicPtr<Image>| {
        // Release: a reader of the pointer sees what it points to.
        slot.compare_exchange(ptr::null_mut(), image, Ordering::Release, Ordering::Relaxed).is_ok()
    };
    let at = TABLE.iter().position(|slot| free(&slot))?;
    // Release: a reader that sees the number sees the slot.
    USED.fetch_max(at + 1, Ordering::Release);
    // SAFETY: it was leaked above, and is never written again.
    Some(unsafe { &*image })
}

/// Removes an image. Its code no longer runs.
pub(crate) fn leave(image: &'static Image) {
    let image = ptr::from_ref(image).cast_mut();
    for slot in &TABLE {
        // Relaxed: this publishes nothing.
        let _ = slot.compare_exchange(image, ptr::null_mut(), Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// All images. May be called from a signal handler.
pub(crate) fn all() -> impl Iterator<Item = &'static Image> {
    // Acquire: pairs with the release in `enter`.
    let used = USED.load(Ordering::Acquire);
    TABLE[..used].iter().filter_map(|slot| {
        // Acquire: pairs with the release in `enter`.
        let image = slot.load(Ordering::Acquire);
        // SAFETY: the pointer is null, or its target was leaked and is never written again.
        unsafe { image.as_ref() }
    })
}

/// The range of addresses from the first image to the last. Most words of a stack are outside of it. May be called from a signal
/// handler.
pub(crate) fn bounds() -> Range<usize> {
    let (start, end) = all().fold((usize::MAX, 0), |(start, end), image| {
        (start.min(image.base), end.max(image.base + image.size))
    });
    start..end
}

/// The image that contains an address. May be called from a signal handler.
pub(crate) fn at(address: usize) -> Option<&'static Image> {
    all().find(|image| (image.base..image.base + image.size).contains(&address))
}

/// How far behind the data of an image an address is, in bytes; `None` if it is not shortly behind an image, or between the parts of one.
/// There an index beyond an array leads.
#[must_use]
pub fn beyond(address: usize) -> Option<usize> {
    const FAR: usize = 1 << 20;
    let behind =
        |image: &&'static Image| (image.base..image.base + image.size + FAR).contains(&address);
    let image = all().find(behind)?;
    let data =
        image.sections.iter().filter(|span| span.writable).map(|span| image.base + span.range.end);
    data.filter(|end| *end <= address).map(|end| address - end).min()
}

/// An address in readable form. May be called from a signal handler.
pub(crate) fn place(address: usize) -> Option<Place> {
    at(address).map(|image| Place { image, offset: address - image.base })
}
