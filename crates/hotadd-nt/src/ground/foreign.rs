//! [`In`], [`Out`] and [`Shared`]: the memory that a driver's pointers point to.
//!
//! A value of these types is a pointer that a driver has passed to a function of this crate. By the call the driver
//! promises what the public documentation requires: that the memory may be read, or written, during the call. Drivers
//! break that promise by accident, so a null pointer is reported by name, and so is a misaligned one where alignment
//! matters. Any other bad pointer faults where it is used, as it would in a kernel.

use std::fmt;
use std::marker::PhantomData;
use std::ptr;

use hotadd::Status;

use crate::ground::caller;

/// A pointer can be copied regardless of the type it points to.
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

/// Memory that a driver allows to be read: one `T`, or many.
#[repr(transparent)]
pub(crate) struct In<T>(*const T);

/// Memory that a driver allows to be written: one `T`, or many.
#[repr(transparent)]
pub(crate) struct Out<T>(*mut T);

impl<T> fmt::Debug for Out<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&self.0, f)
    }
}

/// An object in a driver's memory. Other threads of the driver may use it at the same time, so a `T` consists of
/// atomics or cells. It lives for `'a`: during the call, or for as long as the driver has to keep it.
#[repr(transparent)]
pub(crate) struct Shared<'a, T>(*const T, PhantomData<&'a T>);

// SAFETY: it gives no more access than a `&T`, which another thread may have if `T` is `Sync`.
unsafe impl<T: Sync> Send for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// # Safety
    /// The pointer is null, misaligned, or the address of a `T` that lives for `'a`.
    pub(crate) const unsafe fn new(at: *const T) -> Self {
        Self(at, PhantomData)
    }

    /// The same object, for use beyond the call.
    ///
    /// # Safety
    /// The driver keeps the object for as long as the returned value is used.
    pub(crate) const unsafe fn keep(object: &T) -> Self {
        Self(object, PhantomData)
    }

    /// The object's address.
    pub(crate) fn address(self) -> usize {
        self.0 as usize
    }

    /// The object. A null or misaligned pointer is a fault of the driver.
    pub(crate) fn get(self) -> &'a T {
        if self.0.is_null() {
            null();
        }
        if !self.0.is_aligned() {
            misaligned(self.address(), align_of::<T>());
        }
        // SAFETY: the pointer is neither null nor misaligned. This type stands for the driver's promise that a `T`
        // lives there for `'a`. Every change of a `T` goes through its atomics and cells, so a shared reference is
        // sound.
        unsafe { &*self.0 }
    }

    /// The object, or `None` for null.
    pub(crate) fn get_if_any(self) -> Option<&'a T> {
        (!self.0.is_null()).then(|| self.get())
    }
}

/// `part!(at, Type.field)`: a field of the structure to which an [`Out`] points.
macro_rules! part {
    ($at:expr, $type:ident.$field:ident) => {
        $at.field_like(std::mem::offset_of!($type, $field), |whole: &$type| &whole.$field)
    };
}
pub(crate) use part;

/// Reports a misaligned address of an object.
#[cold]
fn misaligned(address: usize, align: usize) -> ! {
    /// `STATUS_DATATYPE_MISALIGNMENT`
    const MISALIGNMENT: Status = Status::from_raw(0x8000_0002);
    let to = caller::function();
    let what =
        format!("passes the address {address:#x} to {to}, and it must be a multiple of {align}");
    caller::fault_with(MISALIGNMENT, what)
}

/// Reports a null pointer where none is allowed.
#[cold]
fn null() -> ! {
    let what = format!("passes NULL to {}, which does not allow it", caller::function());
    caller::fault_with(Status::ACCESS_VIOLATION, what)
}

impl<T> In<T> {
    /// # Safety
    /// The pointer is null, or readable for as long as it is used.
    pub(crate) const unsafe fn new(at: *const T) -> Self {
        Self(at)
    }

    pub(crate) const fn as_ptr(self) -> *const T {
        self.0
    }

    /// The same place as another type.
    pub(crate) const fn cast<U>(self) -> In<U> {
        In(self.0.cast())
    }

    /// `None` for null.
    pub(crate) fn non_null(self) -> Option<Self> {
        (!self.0.is_null()).then_some(self)
    }

    /// The elements from this index on.
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
        // SAFETY: this type stands for the driver's promise that the memory is readable. Drivers may misalign.
        unsafe { self.0.read_unaligned() }
    }

    /// Reads one of many elements.
    pub(crate) fn at(self, index: usize) -> T {
        if self.0.is_null() {
            null();
        }
        Self(self.0.wrapping_add(index)).get()
    }

    /// Copies many elements into this crate's memory, since the driver's memory may change during use.
    pub(crate) fn to_vec(self, count: usize) -> Vec<T> {
        (0..count).map(|index| self.at(index)).collect()
    }
}

impl<T: Copy + Default + PartialEq> In<T> {
    /// The number of elements before the first zero.
    pub(crate) fn length(self) -> usize {
        self.length_within(usize::MAX)
    }

    /// The number of elements before the first zero, at most `most`. Nothing after either is read.
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
    /// The pointer is null, or writable for as long as it is used.
    pub(crate) const unsafe fn new(at: *mut T) -> Self {
        Self(at)
    }

    /// The null pointer.
    pub(crate) const fn null() -> Self {
        Self(ptr::null_mut())
    }

    /// Whether it is null.
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    pub(crate) const fn as_ptr(self) -> *mut T {
        self.0
    }

    /// The same place as another type.
    pub(crate) const fn cast<U>(self) -> Out<U> {
        Out(self.0.cast())
    }

    /// The field at this byte offset in the same object.
    pub(crate) const fn field<U>(self, offset: usize) -> Out<U> {
        Out(self.0.wrapping_byte_add(offset).cast())
    }

    /// The field at this offset, whose type is the one that the function returns. For [`part!`].
    pub(crate) const fn field_like<U>(self, offset: usize, _: fn(&T) -> &U) -> Out<U> {
        self.field(offset)
    }

    /// The same for reading.
    pub(crate) const fn readable(self) -> In<T> {
        In(self.0.cast_const())
    }

    /// `None` for null.
    pub(crate) fn non_null(self) -> Option<Self> {
        (!self.0.is_null()).then_some(self)
    }

    /// The elements from this index on.
    pub(crate) const fn skip(self, count: usize) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// Writes it.
    pub(crate) fn put(self, value: T) {
        if self.0.is_null() {
            null();
        }
        // SAFETY: this type stands for the driver's promise that the memory is writable. Drivers may misalign.
        unsafe { self.0.write_unaligned(value) };
    }

    /// Writes the value, unless the pointer is null.
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

    /// Writes many elements.
    pub(crate) fn put_all(self, values: &[T]) {
        if values.is_empty() {
            return;
        }
        if self.0.is_null() {
            null();
        }
        // SAFETY: this type stands for the driver's promise that the memory is writable. A slice of this crate does
        // not overlap with a driver's memory. Bytes are copied, so alignment does not matter.
        unsafe {
            ptr::copy_nonoverlapping(
                values.as_ptr().cast::<u8>(),
                self.0.cast::<u8>(),
                size_of_val(values),
            );
        }
    }
}
