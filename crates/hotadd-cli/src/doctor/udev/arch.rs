//! The names of architectures in rules: `CONST{arch}` has systemd's, not the kernel's (systemd's src/basic/architecture.c).

/// The name of this machine's, which rules are compared with.
pub(crate) fn of_this_machine() -> Option<String> {
    let name = rustix::system::uname();
    let machine = name.machine().to_str().ok()?;
    named(machine).map(str::to_owned)
}

/// What systemd calls a machine. None for one that it may call anything.
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
    fn machines_have_the_names_that_rules_use() {
        for (machine, name) in
            [("x86_64", Some("x86-64")), ("ppc64le", Some("ppc64-le")), ("strange", None)]
        {
            assert_eq!(named(machine), name);
        }
        assert!(of_this_machine().is_some(), "this machine has a name");
    }
}
