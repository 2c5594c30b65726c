//! The run-time library: strings, memory, numbers (`Rtl...`), and the C library functions that
//! drivers use.

mod arguments;
mod bitmap;
pub(crate) mod buffers;
mod callers;
pub(crate) mod case;
mod chars;
mod compare;
mod convert;
mod counted;
mod filters;
mod format;
pub(crate) mod guid;
mod integers;
mod memory;
mod print;
mod random;
mod sort;
mod sprintf;
mod strings;
mod tables;
mod text;
pub(crate) mod version;

use crate::ground::export::Export;

/// The exports of this folder.
pub(crate) static TABLES: &[&[Export]] = &[
    bitmap::EXPORTS,
    bitmap::number::EXPORTS,
    callers::EXPORTS,
    case::EXPORTS,
    compare::EXPORTS,
    convert::EXPORTS,
    counted::EXPORTS,
    filters::EXPORTS,
    guid::EXPORTS,
    integers::EXPORTS,
    memory::EXPORTS,
    memory::plain::EXPORTS,
    print::EXPORTS,
    random::EXPORTS,
    random::plain::EXPORTS,
    sort::EXPORTS,
    sprintf::EXPORTS,
    strings::EXPORTS,
    strings::plain::EXPORTS,
    tables::EXPORTS[0],
    tables::EXPORTS[1],
    tables::EXPORTS[2],
    version::EXPORTS,
];
