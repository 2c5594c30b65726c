//! The names of architectures in rules: `CONST{arch}` has systemd's, not the kernel's (systemd's src/basic/architecture.c).

use std::io::Read;
use std::path::Path;

use crate::tree::{Content, Tree};

/// Programs that every system has.
const PROGRAMS: [&str; 4] = ["/bin/sh", "/usr/bin/env", "/sbin/init", "/lib/systemd/systemd-udevd"];

/// The name that rules are compared with: that of the system below a root, by its programs, otherwise this machine's.
pub(crate) fn of(tree: &Tree) -> Option<String> {
    let of_root = || {
        PROGRAMS.iter().find_map(|path| match tree.look_into(Path::new(path)) {
            Content::Binary(file) => {
                let mut head = [0; 20];
                { file }.read_exact(&mut head).ok()?;
                of_program(&head)
            }
            _ => None,
        })
    };
    if tree.is_whole() {
        of_this_machine()
    } else {
        of_root().map_or_else(of_this_machine, |name| Some(name.to_owned()))
    }
}

/// The architecture of a program, by its header (elf.h).
fn of_program(head: &[u8; 20]) -> Option<&'static str> {
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let (wide, little) = (head[4] == 2, head[5] == 1);
    let machine = [head[18], head[19]];
    let machine = if little { u16::from_le_bytes(machine) } else { u16::from_be_bytes(machine) };
    Some(match (machine, wide, little) {
        (3, ..) => "x86",
        (62, ..) => "x86-64",
        (40, _, true) => "arm",
        (183, _, true) => "arm64",
        (183, _, false) => "arm64-be",
        (21, _, true) => "ppc64-le",
        (21, _, false) => "ppc64",
        (22, true, _) => "s390x",
        (22, false, _) => "s390",
        (243, true, _) => "riscv64",
        (243, false, _) => "riscv32",
        (258, true, _) => "loongarch64",
        _ => return None,
    })
}

/// The name of this machine's architecture.
fn of_this_machine() -> Option<String> {
    let name = rustix::system::uname();
    let machine = name.machine().to_str().ok()?;
    named(machine).map(str::to_owned)
}

/// systemd's name for a machine. None if systemd may name it differently.
fn named(machine: &str) -> Option<&'static str> {
    Some(match machine {
        "x86_64" => "x86-64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        "aarch64" => "arm64",
        "aarch64_be" => "arm64-be",
        "ppc64le" => "ppc64-le",
        "ppc64" => "ppc64",
        "ppcle" => "ppc-le",
        "ppc" => "ppc",
        "s390x" => "s390x",
        "s390" => "s390",
        "riscv64" => "riscv64",
        "riscv32" => "riscv32",
        "loongarch64" => "loongarch64",
        "mips" => "mips",
        "mips64" => "mips64",
        "sparc" => "sparc",
        "sparc64" => "sparc64",
        "parisc" => "parisc",
        "parisc64" => "parisc64",
        "alpha" => "alpha",
        "ia64" => "ia64",
        "armv8l" | "armv7l" | "armv6l" | "armv5tel" => "arm",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_named_as_in_udev_rules() {
        for (machine, name) in
            [("x86_64", Some("x86-64")), ("ppc64le", Some("ppc64-le")), ("strange", None)]
        {
            assert_eq!(named(machine), name);
        }
        assert!(of_this_machine().is_some(), "this machine has a name");
        let mut head = [0; 20];
        head[..6].copy_from_slice(b"\x7fELF\x02\x02");
        head[19] = 22;
        assert_eq!(of_program(&head), Some("s390x"));
        assert_eq!(of_program(&[0; 20]), None);
    }
}
