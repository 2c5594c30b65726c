//! Describes a file that is no PE image, in readable form.

/// Signatures at the beginning of known formats.
const BEGINNINGS: &[(&[u8], &str)] = &[
    (b"#!", "a script"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"MSCF", "a Windows cabinet"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Windows installer or another compound document"),
    (b"!<arch>\n", "a library of object files, not linked"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O file"),
    (b"\xca\xfe\xba\xbe", "a Mach-O or Java file"),
    (b"\0asm", "a WebAssembly module"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"\x64\x86", "an object file, not linked"),
    (b"Microsoft C/C++ MSF 7.00", "debugging information (PDB)"),
];

/// Describes a file that does not begin with `MZ`.
pub(super) fn describe(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "an empty file".into();
    }
    if bytes.starts_with(b"\x7fELF") {
        return elf(bytes).into();
    }
    if let Some((_, what)) = BEGINNINGS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return (*what).into();
    }
    if is_text(bytes) { "a text file".into() } else { "data of an unknown kind".into() }
}

fn elf(bytes: &[u8]) -> &'static str {
    // The type follows the 16 bytes of identification, and the machine follows the type. A driver has this machine's
    // byte order.
    match bytes.get(16..20) {
        Some([2, 0, ..]) => "an ELF program",
        Some([3, 0, 0x3e, 0]) => "an ELF shared object",
        Some([3, 0, ..]) => "an ELF shared object for another machine",
        Some([1, 0, ..]) => "an ELF object file, or a Linux kernel module",
        _ => "an ELF file",
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(4096)];
    // The examined part may end in the middle of a character.
    let valid = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && !valid.chars().any(|c| c.is_control() && !c.is_whitespace())
}
