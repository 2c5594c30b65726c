//! [`Abi`]: the calling conventions of drivers.

/// A calling convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// Microsoft's for x64: what a `.sys` is made of.
    Win64,
    /// System V's: what everything else on this system is made of.
    SysV,
}
