//! [`Export`]: one thing that a driver can import. The macros of `declare` make them.

use std::ffi::c_void;
use std::marker::PhantomData;

use crate::ground::abi::Abi;

/// One thing that a driver can import.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Export {
    pub(crate) name: &'static str,
    pub(crate) what: What,
    /// What the headers must declare.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests compare it with the headers"))]
    pub(crate) sizes: Sizes,
}

/// The sizes in bytes of what a function takes and returns.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "the tests compare them with the headers"))]
pub(crate) struct Sizes {
    pub(crate) parameters: &'static [usize],
    /// 0 if it returns nothing. A variable counts as a result.
    pub(crate) result: usize,
    /// More arguments may follow.
    pub(crate) variadic: bool,
}

impl Sizes {
    /// The sizes of a function that no header declares.
    pub(crate) const UNDECLARED: Self = Self { parameters: &[], result: 0, variadic: false };
}

/// The size of what functions of this type return: `()` has size 0.
pub(crate) const fn result_size<R>(_: PhantomData<fn() -> R>) -> usize {
    size_of::<R>()
}

/// The kind of an export.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A function, in both conventions.
    Function { win64: *const c_void, sysv: *const c_void },
    /// A variable. Importers receive its address. The native symbol is the variable, or a [`Pointer`] to it.
    Data { variable: *const c_void, symbol: *const c_void },
}

// SAFETY: these are addresses of functions and statics, which are the same on every thread.
unsafe impl Sync for Export {}

impl Export {
    /// The content of an import slot.
    pub(crate) const fn address(&self, abi: Abi) -> *const c_void {
        match (self.what, abi) {
            (What::Function { win64, .. }, Abi::Win64) => win64,
            (What::Function { sysv, .. }, Abi::SysV) => sysv,
            (What::Data { variable, .. }, _) => variable,
        }
    }

    /// The address to which a native driver's symbol is bound.
    pub(crate) const fn symbol(&self) -> *const c_void {
        match self.what {
            What::Function { sysv, .. } => sysv,
            What::Data { symbol, .. } => symbol,
        }
    }
}

/// A variable that contains the address of another. A driver declares `extern POBJECT_TYPE *PsThreadType` and reads
/// `*PsThreadType`. In a `.sys`, `PsThreadType` is the import slot, which contains the variable's address, as for any
/// variable. In a native driver it is a symbol, which must contain that address too.
#[repr(transparent)]
pub(crate) struct Pointer<T>(pub(crate) *const T);

// SAFETY: it is an address, which is the same on every thread.
unsafe impl<T> Sync for Pointer<T> {}

impl<T> Pointer<T> {
    /// The address that it contains.
    pub(crate) fn address(&self) -> usize {
        self.0 as usize
    }
}
