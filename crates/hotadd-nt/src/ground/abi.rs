//! [`Abi`]: the calling conventions of drivers.

/// A calling convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// Microsoft's for x64, which a `.sys` uses.
    Win64,
    /// System V's, which everything else on this system uses.
    SysV,
}
