//! The entry points of the fuzz targets. Built only with `--cfg fuzzing`, and not part of the public interface.

use crate::kernel::exports::SERVICES;
use crate::loaders::native::{Elf, for_the_linker, inspect};

/// Inspects a native driver, and makes the copy of it that the system's linker would be given. Nothing is loaded.
///
/// # Panics
/// If a property that the inspection has checked does not hold.
#[must_use]
pub fn native(bytes: &[u8]) -> bool {
    let inspected = inspect(bytes, &SERVICES).is_ok();
    let Ok(elf) = Elf::parse(bytes) else {
        assert!(!inspected, "it is inspected as what it is loaded as");
        return false;
    };
    assert!(elf.entry < elf.size, "it begins outside of itself");
    for slot in &elf.slots {
        let end = slot.at.checked_add(8);
        assert!(end.is_some_and(|end| end <= elf.size), "a slot at {:#x}, outside", slot.at);
        assert!(slot.symbol < elf.undefined.len(), "a slot of no symbol");
    }
    for steps in [&elf.dynamic.begin, &elf.dynamic.end] {
        assert!(steps.pointers.end <= elf.size, "constructors outside: {:?}", steps.pointers);
    }
    if let Some(sealed) = &elf.sealed {
        assert!(sealed.end <= elf.size, "sealed outside: {sealed:?}");
    }
    for span in &elf.mapped {
        assert!(span.range.end <= elf.size, "mapped outside: {:?}", span.range);
    }
    let given = for_the_linker(&elf, bytes);
    assert_eq!(given.len(), bytes.len(), "the copy is as long as the file");
    for (at, _) in bytes.iter().zip(&given).enumerate().filter(|(_, (was, is))| was != is) {
        let tag = elf.dynamic.taken_out.iter().any(|tag| (*tag..*tag + 8).contains(&at));
        let binding = elf.undefined.iter().any(|symbol| symbol.info == at);
        let checked = elf.dynamic.checked.iter().any(|range| range.contains(&at));
        assert!(tag || (binding && !checked), "{at:#x} is changed after it was checked");
    }
    true
}
