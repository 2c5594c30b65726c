//! Programs by their names: those that do nothing to processors, those that run others, and those that run another language.

/// Programs and shell words that run nothing else, and write only what their line says.
const PLAIN: &[&str] = &[
    ":",
    "[",
    "alias",
    "apt-config",
    "apt-get",
    "arch",
    "awk",
    "basename",
    "bg",
    "blkid",
    "blockdev",
    "break",
    "bunzip2",
    "bzip2",
    "cal",
    "cat",
    "cd",
    "chattr",
    "chgrp",
    "chmod",
    "chown",
    "cksum",
    "clear",
    "cmp",
    "comm",
    "continue",
    "cp",
    "csplit",
    "curl",
    "cut",
    "date",
    "dbus-send",
    "dd",
    "declare",
    "depmod",
    "df",
    "diff",
    "dirname",
    "dirs",
    "disown",
    "dmesg",
    "dmidecode",
    "dmsetup",
    "dpkg",
    "dpkg-query",
    "du",
    "echo",
    "egrep",
    "ethtool",
    "exit",
    "expand",
    "export",
    "expr",
    "fallocate",
    "false",
    "fc",
    "fg",
    "fgrep",
    "file",
    "fold",
    "free",
    "fsck",
    "fuser",
    "gawk",
    "getconf",
    "getent",
    "getopt",
    "getopts",
    "grep",
    "groups",
    "gunzip",
    "gzip",
    "hash",
    "head",
    "hexdump",
    "hostname",
    "hostnamectl",
    "hwclock",
    "id",
    "ifconfig",
    "insmod",
    "install",
    "ip",
    "ipcs",
    "iptables",
    "irqbalance",
    "jobs",
    "join",
    "journalctl",
    "jq",
    "kill",
    "killall",
    "kmod",
    "last",
    "let",
    "ln",
    "local",
    "logger",
    "logname",
    "logout",
    "losetup",
    "ls",
    "lsblk",
    "lscpu",
    "lsmod",
    "lsof",
    "lspci",
    "lsusb",
    "mapfile",
    "mawk",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mkswap",
    "mktemp",
    "modinfo",
    "modprobe",
    "more",
    "mount",
    "mountpoint",
    "mv",
    "netstat",
    "nft",
    "nl",
    "nproc",
    "od",
    "passwd",
    "paste",
    "pgrep",
    "pidof",
    "ping",
    "pkill",
    "popd",
    "printenv",
    "printf",
    "ps",
    "pushd",
    "pwd",
    "rdmsr",
    "read",
    "readarray",
    "readlink",
    "readonly",
    "realpath",
    "renice",
    "return",
    "rev",
    "rm",
    "rmdir",
    "rmmod",
    "route",
    "rpm",
    "sed",
    "seq",
    "set",
    "setterm",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "shift",
    "shopt",
    "shuf",
    "sleep",
    "sort",
    "split",
    "ss",
    "stat",
    "stty",
    "sum",
    "swapoff",
    "swapon",
    "sync",
    "sysctl",
    "systemd-cat",
    "systemd-detect-virt",
    "systemd-notify",
    "systemd-tmpfiles",
    "tac",
    "tail",
    "tar",
    "tee",
    "test",
    "times",
    "top",
    "touch",
    "tput",
    "tr",
    "true",
    "truncate",
    "tty",
    "type",
    "typeset",
    "udevadm",
    "ulimit",
    "umask",
    "umount",
    "unalias",
    "uname",
    "unexpand",
    "uniq",
    "unlink",
    "unset",
    "unxz",
    "unzip",
    "uptime",
    "users",
    "vmstat",
    "wait",
    "wall",
    "wc",
    "wget",
    "whereis",
    "which",
    "who",
    "whoami",
    "xz",
    "xzcat",
    "yes",
    "zcat",
    "zgrep",
    "zstd",
];

/// Programs that run the program named in their words.
const WRAPPERS: &[&str] = &[
    "anacron",
    "builtin",
    "busybox",
    "cgexec",
    "chroot",
    "chronic",
    "chrt",
    "command",
    "coproc",
    "daemon",
    "daemonize",
    "doas",
    "env",
    "exec",
    "flock",
    "ionice",
    "linux32",
    "linux64",
    "nice",
    "nohup",
    "nsenter",
    "numactl",
    "parallel",
    "pkexec",
    "prlimit",
    "procd_set_param",
    "runuser",
    "script",
    "setarch",
    "setpriv",
    "setsid",
    "setuidgid",
    "start-stop-daemon",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-cat",
    "systemd-inhibit",
    "systemd-run",
    "taskset",
    "time",
    "timeout",
    "toybox",
    "unshare",
    "watch",
    "xargs",
];

const SHELLS: &[&str] = &[
    "sh",
    "ash",
    "bash",
    "dash",
    "hush",
    "ksh",
    "ksh93",
    "mksh",
    "rbash",
    "zsh",
    "openrc-run",
    "runscript",
    "rc.common",
];

const INTERPRETERS: &[&str] = &[
    "python", "perl", "ruby", "lua", "luajit", "node", "nodejs", "php", "tclsh", "guile", "ucode",
    "pypy", "deno", "bun",
];

const RUNNERS: &[&str] = &[
    "make",
    "gmake",
    "ansible",
    "ansible-playbook",
    "ansible-pull",
    "docker",
    "podman",
    "kubectl",
    "at",
    "batch",
    "gdb",
    "salt-call",
    "puppet",
    "chef-client",
    "nix-shell",
    "expect",
];

/// The folders of a distribution's programs. Programs elsewhere are local.
const DISTRIBUTIONS: &[&str] = &[
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libexec",
    "/nix/store",
    "/gnu/store",
];

/// The folders in which programs are looked up that are named without a folder.
pub(crate) const FOLDERS: [&str; 7] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/run/current-system/sw/bin",
];

/// What is known about a program by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Wrapper,
    /// It does what a file or another party says.
    Runner,
    Shell,
    Interpreter,
    Other,
}

/// A name without its folder.
pub(crate) fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// The kind of a program. A program with a known name in a local folder is an unknown program.
pub(crate) fn kind(program: &str) -> Kind {
    let name = base(program);
    if program.contains('/') && !is_distributions(program) {
        return Kind::Other;
    }
    if PLAIN.contains(&name) && name != "systemd-cat" {
        Kind::Plain
    } else if WRAPPERS.contains(&name) {
        Kind::Wrapper
    } else if RUNNERS.contains(&name) {
        Kind::Runner
    } else if SHELLS.contains(&name) {
        Kind::Shell
    } else if INTERPRETERS
        .contains(&name.trim_end_matches(|char: char| char.is_ascii_digit() || char == '.'))
    {
        Kind::Interpreter
    } else {
        Kind::Other
    }
}

/// Whether a path is in a folder of the distribution.
pub(crate) fn is_distributions(path: &str) -> bool {
    let path = std::path::Path::new(path);
    DISTRIBUTIONS.iter().any(|folder| path.starts_with(folder))
        && !path.components().any(|part| part == std::path::Component::ParentDir)
}

/// The program in the first line of a script: `#!/usr/bin/env python3`.
pub(crate) fn interpreter(text: &str) -> Option<&str> {
    let line = text.lines().next()?.strip_prefix("#!")?;
    let mut words = line.split_whitespace();
    let first = words.next()?;
    if base(first) != "env" {
        return Some(first);
    }
    words.find(|word| !word.starts_with('-') && !word.contains('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_only_in_the_folder_of_its_distribution() {
        for (program, expected) in [
            ("cat", Kind::Plain),
            ("/bin/cat", Kind::Plain),
            ("/opt/bin/cat", Kind::Other),
            ("/usr/bin/../../opt/cat", Kind::Other),
            ("/usr/bin/python3.11", Kind::Interpreter),
            ("sudo", Kind::Wrapper),
            ("bash", Kind::Shell),
            ("agent", Kind::Other),
        ] {
            assert_eq!(kind(program), expected, "{program}");
        }
    }

    #[test]
    fn the_first_line_names_the_interpreter_of_a_script() {
        for (text, expected) in [
            ("#!/bin/sh -e\n", Some("/bin/sh")),
            ("#! /usr/bin/env -S X=1 python3 -u\n", Some("python3")),
            ("echo\n", None),
            ("", None),
        ] {
            assert_eq!(interpreter(text), expected, "{text}");
        }
    }
}
