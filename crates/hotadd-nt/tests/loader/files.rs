//! The descriptions of files in errors and in the inspection.

use hotadd_nt::pe::{FileError, Provision, inspect, load, read};

use crate::{CRASH, header, optional, patched, section, stored};

/// The error for a file, as a user reads it.
fn error(bytes: &[u8]) -> String {
    inspect(bytes).expect_err("this file is not a driver").to_string()
}

#[test]
fn a_file_that_is_not_a_driver_is_described_by_its_type() {
    let elf = |kind: u8, machine: u8| {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend([kind, 0, machine, 0]);
        bytes
    };
    let mut bare = vec![0; 64];
    bare[..2].copy_from_slice(b"MZ");
    let not_text = [0xfe, 0xdc, 0xba, 0x98];
    let machine = |machine: u16| patched(header() + 4, &machine.to_le_bytes());
    let subsystem = |subsystem: u16| patched(optional() + 68, &subsystem.to_le_bytes());
    let mut library = subsystem(3);
    library[header() + 23] |= 0x20;
    let cases: &[(&[u8], &str)] = &[
        (b"", "an empty file"),
        (b"Hello\n", "a text file"),
        ("Pr\u{fc}fung".as_bytes(), "a text file"),
        (b"#!/bin/sh\n", "a script"),
        (b"PK\x03\x04....", "a ZIP archive"),
        (b"MSCF....", "a Windows cabinet"),
        (b"!<arch>\n....", "a library of object files, not linked"),
        (&elf(2, 0x3e), "an ELF program"),
        (&elf(3, 0x3e), "an ELF shared object"),
        (&elf(3, 0xb7), "an ELF shared object for another machine"),
        (&elf(1, 0x3e), "an ELF object file, or a Linux kernel module"),
        (b"\x7fELF", "an ELF file"),
        (&not_text, "data of an unknown kind"),
        (&bare, "a DOS program, or a PE image truncated after its first header"),
        (&patched(header(), b"NE"), "a 16-bit Windows program"),
        (&patched(header(), b"LE"), "a VxD, or another linear executable"),
        (&machine(0x014c), "a 32-bit (i386) PE"),
        (&machine(0xaa64), "an ARM64 PE"),
        (&machine(0x01c4), "a 32-bit (ARM) PE"),
        (&machine(0x0200), "an Itanium PE"),
        (&machine(0x5064), "a RISC-V PE"),
        (&machine(0x1234), "a PE for machine type 0x1234"),
        (&subsystem(2), "a Windows program (GUI), not a native driver"),
        (&subsystem(3), "a Windows program (console), not a native driver"),
        (&library, "a Windows library (DLL), not a native driver"),
        (&subsystem(11), "an EFI program"),
        (&subsystem(14), "a PE for subsystem 14, not a native driver"),
        (&patched(header() + 22, &[0x20]), "a PE whose linking did not complete"),
    ];
    for (bytes, what) in cases {
        assert_eq!(error(bytes), format!("not a driver: {what}"));
    }
}

#[test]
fn a_file_truncated_anywhere_is_reported_as_truncated() {
    let text = stored(0);
    let cut = text.start + 0x100;
    let what = format!(
        "truncated: section .text ends at {:#x}, after the end of the file ({cut:#x})",
        text.end
    );
    assert_eq!(error(&CRASH[..cut]), what);
    assert_eq!(error(&CRASH[..10]), "truncated: a DOS header of 64 bytes in a file of 10");
    for length in header() + 4..CRASH.len() {
        let error = inspect(&CRASH[..length]).expect_err("a part of a driver is none");
        assert!(matches!(error, FileError::Truncated(_)), "cut at {length:#x}: {error}");
    }
}

#[test]
fn an_inconsistent_file_is_refused_with_the_wrong_value() {
    let directory = |number: usize| optional() + 112 + 8 * number;
    let four = u32::to_le_bytes;
    // The name of the first import, through its lookup table.
    let cases: &[(usize, &[u8], &str)] = &[
        (
            optional() + 16,
            &four(0x2000),
            "damaged: its entry point 0x2000 is not in executable memory",
        ),
        (optional() + 16, &four(u32::MAX), "damaged: its entry point 0xffffffff is not in"),
        (optional() + 32, &four(0x20), "not supported: sections aligned to 0x20 bytes"),
        (optional() + 32, &four(0x1800), "not supported: sections aligned to 0x1800 bytes"),
        (optional() + 56, &four(u32::MAX), "too large: an image of 0xffffffff bytes"),
        (optional() + 56, &four(0), "damaged: an image of 0x0 bytes with 0x400 of headers"),
        (optional() + 56, &four(0x2000), "damaged: section .rdata has 0x1000 bytes at 0x2000"),
        (optional() + 60, &four(0x5000), "truncated: its headers end at 0x5000"),
        (header() + 6, &[97, 0], "too large: 97 sections"),
        (section(1) + 12, &four(0x1000), "damaged: section .rdata has 0x1000 bytes at 0x1000"),
        (section(1) + 12, &four(0x2010), "damaged: section .rdata has 0x1000 bytes at 0x2010"),
        (section(1) + 12, &four(0xffff_f000), "damaged: section .rdata has 0x1000 bytes at"),
        (section(1) + 8, &four(u32::MAX), "damaged: section .rdata has 0x100000000 bytes at"),
        (section(1) + 20, &four(u32::MAX), "truncated: section .rdata ends at 0x1000"),
        (directory(0), &four(0x8000), "damaged: table 0 has 0x"),
        (directory(1) + 4, &four(u32::MAX), "damaged: table 1 has 0xffffffff bytes"),
        (directory(1), &four(0x1000), "damaged: the name of file 1 that it imports from"),
        (directory(3), &four(0x0ffc), "damaged: its function table of 0x"),
        (directory(4), &four(CRASH.len() as u32 - 4), "truncated: its signature"),
        (directory(5), &four(0x1000), "damaged: its relocations: "),
    ];
    let mut empty = patched(section(4) + 12, &four(0x40_0000));
    empty[section(4) + 8..section(4) + 12].fill(0);
    empty[section(4) + 16..section(4) + 20].fill(0);
    let empty = error(&empty);
    assert!(empty.starts_with("damaged: section .reloc has 0x0 bytes at 0x400000"), "{empty}");
    for (at, bytes, what) in cases {
        let mut file = patched(*at, bytes);
        if *at == directory(4) {
            file[directory(4) + 4] = 8;
        }
        let error = error(&file);
        assert!(error.starts_with(what), "{error} does not begin with {what}");
    }
}

#[test]
fn a_relocation_for_another_machine_is_refused_by_name() {
    // The only block of .reloc: a page, a size, and pairs of a type and an offset.
    let start = stored(4).start;
    let file = patched(start + 8, &0x3010u16.to_le_bytes());
    let error = error(&file);
    assert_eq!(error, "not supported: a relocation of type HIGHLOW at 0x2010");
    let behind = patched(start, &0x5000u32.to_le_bytes());
    assert!(inspect(&behind).is_ok(), "the last page of the image can be relocated too");
    let behind = patched(start, &0x8000u32.to_le_bytes());
    let error = inspect(&behind).expect_err("there is nothing to correct").to_string();
    assert!(error.contains("after the end of the image"), "{error}");
}

#[test]
fn the_inspection_lists_imports_and_what_provides_them() {
    let inspection = inspect(CRASH).unwrap();
    assert_eq!(inspection.kind, "a native driver for x86-64 (PE32+)");
    assert_eq!(inspection.entry, Some(0x1000));
    assert!(!inspection.signed && inspection.cookie);
    assert!(inspection.functions > 4 && inspection.relocations > 0);
    assert!(inspection.exports.iter().any(|name| name == "read_at"));
    let sections: Vec<_> = inspection.sections.iter().map(|section| &*section.name).collect();
    assert_eq!(sections, [".text", ".rdata", ".data", ".pdata", ".reloc"]);
    let got = |name: &str| {
        let import = inspection.imports.iter().find(|import| import.name == name);
        import.map(|import| (&*import.module, import.provision))
    };
    assert_eq!(got("HotaddNobodyHasThis"), Some(("ntoskrnl.exe", Provision::Missing)));
    assert_eq!(got("#7"), Some(("ntoskrnl.exe", Provision::Missing)));
}

#[test]
fn a_signature_is_detected() {
    let mut file = CRASH.to_vec();
    let at = optional() + 112 + 8 * 4;
    file[at..at + 4].copy_from_slice(&(CRASH.len() as u32).to_le_bytes());
    file[at + 4..at + 8].copy_from_slice(&8u32.to_le_bytes());
    file.extend(*b"PKCS#7..");
    assert!(inspect(&file).unwrap().signed, "the signature follows the image in the file");
}

#[test]
fn a_strict_load_lists_every_missing_import() {
    let error = load(CRASH, "crash.sys", true).expect_err("not all of its imports exist");
    let FileError::Unresolved(names) = error else { panic!("{error}") };
    for name in ["HotaddNobodyHasThis", "HotaddNobodyHasThisEither", "#7"] {
        assert!(names.contains(&format!("ntoskrnl.exe!{name}")), "{name} is not in {names:?}");
    }
}

#[test]
fn a_directory_and_a_missing_file_get_different_errors() {
    let error = read(std::path::Path::new("/")).expect_err("a directory has no bytes");
    assert_eq!(error.to_string(), "not a driver: a directory");
    let error = read(std::path::Path::new("/dev/null")).expect_err("not a regular file");
    assert_eq!(error.to_string(), "not a driver: not a regular file");
    let error = read(std::path::Path::new("/nowhere.sys")).expect_err("there is no such file");
    assert!(matches!(error, FileError::Unreadable(_)), "{error}");
}
