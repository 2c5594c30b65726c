//! Inspects a native driver's file.

use super::{Elf, provided, system_has};
use crate::ground::export::What;
use crate::ground::services::Services;
use crate::loaders::pe::{FileError, Import, Inspection, Provision};

/// Inspects a native driver without loading it.
pub(crate) fn inspect(bytes: &[u8], services: &Services) -> Result<Inspection, FileError> {
    let elf = Elf::parse(bytes)?;
    let imports = elf.undefined.into_iter().filter(|symbol| !symbol.weak);
    let imports = imports.map(|symbol| {
        let export = provided(services, &symbol.name).map(|export| export.what);
        let (module, provision) = match export {
            Some(What::Function { .. }) => ("hotadd", Provision::Function),
            Some(What::Data { .. }) => ("hotadd", Provision::Data),
            None if system_has(&symbol.name) => ("the system", Provision::Function),
            None => ("", Provision::Missing),
        };
        Import { module: module.to_owned(), name: symbol.name, provision }
    });
    Ok(Inspection {
        kind: "a driver built natively for x86-64 (ELF shared object)",
        memory: elf.size,
        entry: Some(elf.entry),
        timestamp: 0,
        signed: false,
        cookie: false,
        relocations: elf.relocations,
        functions: 0,
        frameworks: Vec::new(),
        imports: imports.collect(),
        exports: vec!["DriverEntry".to_owned()],
        sections: elf.sections,
    })
}
