//! [`In`], [`Out`] and [`Shared`]: what a driver's pointers point to.
//!
//! A value of these types is a pointer that a driver has passed to one of our functions, and by calling it the driver has
//! promised what the public documentation asks for: that it may be read, or written, during the call. That promise is
//! broken by accident, so a null pointer is reported by name, and so is a misaligned one where that matters. Any other bad
//! pointer faults where it is used, as it would in a kernel.

use std::fmt;
use std::marker::PhantomData;
use std::ptr;

use hotadd::Status;

use crate::ground::caller;

/// A pointer may be copied whatever it points to.
macro_rules! copied {
    ($($pointer:ty),*) => {$(
        impl<T> Clone for $pointer {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T> Copy for $pointer {}
    )*};
}
copied!(In<T>, Out<T>, Shared<'_, T>);

/// Something that a driver lets us read: a `T`, or many.
#[repr(transparent)]
pub(crate) struct In<T>(*const T);

/// Something that a driver lets us write: a `T`, or many.
#[repr(transparent)]
pub(crate) struct Out<T>(*mut T);

impl<T> fmt::Debug for Out<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&self.0, f)
    }
}

/// An object in a driver's memory. Other threads of the driver may use it at the same moment, so a `T` consists of atomics or cells.
/// It lives for `'a`: during the call, or for as long as the driver has to keep it.
#[repr(transparent)]
pub(crate) struct Shared<'a, T>(*const T, PhantomData<&'a T>);

// SAFETY: it is no more than a `&T`, which another thread may have if `T` is `Sync`.
unsafe impl<T: Sync> Send for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// # Safety
    /// Null, misaligned, or the address of a `T` that lives for `'a`.
    pub(crate) const unsafe fn new(at: *const T) -> Self {
        Self(at, PhantomData)
    }

    /// The same object, remembered beyond the call.
    ///
    /// # Safety
    /// The driver keeps the object for as long as what is returned is used.
    pub(crate) const unsafe fn keep(object: &T) -> Self {
        Self(object, PhantomData)
    }

    /// Where it is.
    pub(crate) fn address(self) -> usize {
        self.0 as usize
    }

    /// The object. A null pointer and one that is not aligned are faults of the driver.
    pub(crate) fn get(self) -> &'a T {
        if self.0.is_null() {
            null();
        }
        if !self.0.is_aligned() {
            misaligned(self.address(), align_of::<T>());
        }
        // SAFETY: it is neither null nor misaligned. This type stands for the driver's promise that a `T` lives there for `'a`. Whoever
        // changes a `T` does so through its atomics and cells, so a shared reference forbids nothing.
        unsafe { &*self.0 }
    }

    /// The object, or `None` for null.
    pub(crate) fn get_if_any(self) -> Option<&'a T> {
        (!self.0.is_null()).then(|| self.get())
    }
}

/// An address of an object that its alignment does not divide.
#[cold]
fn misaligned(address: usize, align: usize) -> ! {
    /// `STATUS_DATATYPE_MISALIGNMENT`
    const MISALIGNMENT: Status = Status::from_raw(0x8000_0002);
    let what = format!("passes {address:#x} where an address is needed that {align} divides");
    caller::fault_with(MISALIGNMENT, what)
}

/// A null pointer where there must not be one.
#[cold]
fn null() -> ! {
    caller::fault_with(Status::ACCESS_VIOLATION, "passes NULL where an address is needed")
}

impl<T> In<T> {
    /// # Safety
    /// Null, or readable for as long as it is used.
    pub(crate) const unsafe fn new(at: *const T) -> Self {
        Self(at)
    }

    pub(crate) const fn as_ptr(self) -> *const T {
        self.0
    }

    /// The same place as something else that lies there.
    pub(crate) const fn cast<U>(self) -> In<U> {
        In(self.0.cast())
    }

    /// `None` for null.
    pub(crate) fn non_null(self) -> Option<Self> {
        (!self.0.is_null()).then_some(self)
    }

    /// The next ones, from this one on.
    pub(crate) const fn skip(self, count: usize) -> Self {
        Self(self.0.wrapping_add(count))
    }
}

impl<T: Copy> In<T> {
    /// Reads it.
    pub(crate) fn get(self) -> T {
        if self.0.is_null() {
            null();
        }
        // SAFETY: the driver's promise, which this type stands for. Drivers may misalign.
        unsafe { self.0.read_unaligned() }
    }

    /// Reads one of many.
    pub(crate) fn at(self, index: usize) -> T {
        if self.0.is_null() {
            null();
        }
        Self(self.0.wrapping_add(index)).get()
    }

    /// Reads many, into a place of our own: what lies there may change while we look at it.
    pub(crate) fn to_vec(self, count: usize) -> Vec<T> {
        (0..count).map(|index| self.at(index)).collect()
    }
}

impl<T: Copy + Default + PartialEq> In<T> {
    /// How many there are before the first zero.
    pub(crate) fn length(self) -> usize {
        self.length_within(usize::MAX)
    }

    /// How many there are before the first zero, at most so many. Nothing behind either is looked at.
    pub(crate) fn length_within(self, most: usize) -> usize {
        (0..most).find(|index| self.at(*index) == T::default()).unwrap_or(most)
    }

    /// Everything before the first zero.
    pub(crate) fn terminated(self) -> Vec<T> {
        self.to_vec(self.length())
    }
}

impl<T> Out<T> {
    /// # Safety
    /// Null, or writable for as long as it is used.
    pub(crate) const unsafe fn new(at: *mut T) -> Self {
        Self(at)
    }

    pub(crate) const fn as_ptr(self) -> *mut T {
        self.0
    }

    /// The same place as something else that lies there.
    pub(crate) const fn cast<U>(self) -> Out<U> {
        Out(self.0.cast())
    }

    /// What lies so many bytes further on, in the same object.
    pub(crate) const fn field<U>(self, offset: usize) -> Out<U> {
        Out(self.0.wrapping_byte_add(offset).cast())
    }

    /// The same for reading.
    pub(crate) const fn readable(self) -> In<T> {
        In(self.0.cast_const())
    }

    /// `None` for null.
    pub(crate) fn non_null(self) -> Option<Self> {
        (!self.0.is_null()).then_some(self)
    }

    /// The next ones, from this one on.
    pub(crate) const fn skip(self, count: usize) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// Writes it.
    pub(crate) fn put(self, value: T) {
        if self.0.is_null() {
            null();
        }
        // SAFETY: the driver's promise, which this type stands for. Drivers may misalign.
        unsafe { self.0.write_unaligned(value) };
    }

    /// Writes it, if the driver wants it.
    pub(crate) fn put_if_wanted(self, value: T) {
        if let Some(to) = self.non_null() {
            to.put(value);
        }
    }
}

impl<T: Copy> Out<T> {
    /// Reads it.
    pub(crate) fn get(self) -> T {
        self.readable().get()
    }

    /// Writes many.
    pub(crate) fn put_all(self, values: &[T]) {
        if values.is_empty() {
            return;
        }
        if self.0.is_null() {
            null();
        }
        // SAFETY: the driver's promise; a slice of our own does not overlap with a driver's memory. Bytes are copied, so that
        // alignment does not matter.
        unsafe {
            ptr::copy_nonoverlapping(
                values.as_ptr().cast::<u8>(),
                self.0.cast::<u8>(),
                size_of_val(values),
            );
        }
    }
}
