//! [`inspect`]: the properties of a file, and which of its imports are provided. Nothing is loaded.

use super::error::FileError;
use super::headers::{Headers, Section};
use super::relocate;
use super::tables::Tables;
use crate::ground::abi::Abi;
use crate::ground::export::What;
use crate::ground::frameworks::{self, Framework};
use crate::ground::services::Services;

/// The properties of a driver's file.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Its kind, in readable form.
    pub kind: &'static str,
    /// Its size in memory, in bytes.
    pub memory: usize,
    /// The offset of its entry point from the image's lowest address; `None` for a library of functions for other
    /// drivers.
    pub entry: Option<usize>,
    /// The linker's timestamp, in seconds since 1970. Reproducible builds store a hash there.
    pub timestamp: u32,
    /// Whether a signature is attached. It is not verified.
    pub signed: bool,
    /// Whether it has a security cookie for the loader to set.
    pub cookie: bool,
    /// Its sections.
    pub sections: Vec<Section>,
    /// How many addresses are relocated when it is loaded.
    pub relocations: usize,
    /// How many functions its tables describe for unwinding.
    pub functions: usize,
    /// Its imports, in the file's order.
    pub imports: Vec<Import>,
    /// The names that it exports.
    pub exports: Vec<String>,
    /// The frameworks from which it imports, and which are not hosted.
    pub frameworks: Vec<&'static Framework>,
}

/// An import of a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The file in which the driver expects it.
    pub module: String,
    /// Its name, or `#N` for an import by number.
    pub name: String,
    /// What it is bound to.
    pub provision: Provision,
}

/// What an import is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provision {
    /// A function.
    Function,
    /// A variable's address.
    Data,
    /// Nothing: the driver is stopped when it uses the import.
    Missing,
}

/// Inspects a driver without loading it.
///
/// # Errors
/// It is not a driver, or cannot be loaded. The error says what it is.
pub(crate) fn inspect(bytes: &[u8], services: &Services) -> Result<Inspection, FileError> {
    let headers = Headers::parse(bytes)?;
    let mut image = Vec::new();
    let no_room = |error| FileError::NoRoom(format!("{error}"));
    image.try_reserve_exact(headers.size).map_err(no_room)?;
    image.resize(headers.size, 0);
    headers.lay_out(bytes, &mut image);
    let tables = Tables::parse(&headers, &image)?;
    let relocations = relocate::places(&headers, &image)?.len();
    let frameworks = frameworks::among(tables.imports.iter().map(|slot| &*slot.module));
    let imports = tables.imports.into_iter().map(|slot| {
        let provision = match (services.find)(&slot.name, Abi::Win64).map(|export| export.what) {
            Some(What::Function { .. }) => Provision::Function,
            Some(What::Data { .. }) => Provision::Data,
            None => Provision::Missing,
        };
        Import { module: slot.module, name: slot.name, provision }
    });
    Ok(Inspection {
        kind: "a native driver for x86-64 (PE32+)",
        memory: headers.size,
        entry: (headers.entry != 0).then_some(headers.entry),
        timestamp: headers.timestamp,
        signed: headers.signed,
        cookie: tables.cookie.is_some(),
        relocations,
        functions: tables.functions.len() / 12,
        frameworks,
        imports: imports.collect(),
        exports: tables.exports.into_iter().map(|export| export.name).collect(),
        sections: headers.sections,
    })
}
