//! Programs that cannot be read like shell scripts: compiled programs, and those in other languages. They are searched for
//! strings that a program must contain to bring processors online: the processors' folder and their switch, or a tool that does
//! it.

use std::fs::File;
use std::io::{self, Read};

use memchr::memmem;

/// The most bytes of one program that are searched.
const LARGEST: u64 = 256 << 20;
const CHUNK: usize = 1 << 20;
/// The longest string that is searched for, with its surroundings.
const OVERLAP: usize = 64;

/// What was found in a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// It names the processors' folder, not only the lists in it.
    folder: bool,
    /// It names a switch.
    switch: bool,
    /// It names a tool or a switch of all processors.
    tool: bool,
    /// Its contents are not visible: it unpacks itself.
    packed: bool,
}

impl Signs {
    /// What indicates that it brings processors online, if anything does.
    pub(crate) fn said(self) -> Option<&'static str> {
        if self.packed {
            Some("it is packed (UPX) and cannot be searched")
        } else if self.tool || (self.folder && self.switch) {
            Some("it contains the path of processors' online files or of a tool that sets them")
        } else {
            None
        }
    }
}

/// Files beside the processors' folders, which are read-only.
const LISTS: [&[u8]; 8] = [
    b"/online",
    b"/offline",
    b"/possible",
    b"/present",
    b"/kernel_max",
    b"/isolated",
    b"/nohz_full",
    b"/vulnerabilities",
];

/// Searches a text.
pub(crate) fn search(text: &[u8]) -> Signs {
    window(text, true, true)
}

/// Searches a part of a text. A match near an end of the part is skipped there, unless it is the text's end: the neighbouring
/// part has it in full.
fn window(text: &[u8], first: bool, last: bool) -> Signs {
    let inside =
        |at: usize| (first || at >= OVERLAP / 2) && (last || at + OVERLAP / 2 <= text.len());
    let folder = memmem::find_iter(text, b"system/cpu").filter(|at| inside(*at)).any(|at| {
        let behind = &text[at + b"system/cpu".len()..];
        !LISTS.iter().any(|list| behind.starts_with(list))
    });
    let mut online = memmem::find_iter(text, b"online").filter(|at| inside(*at));
    let switch = online.any(|at| !text[..at].ends_with(b"system/cpu/"))
        || memmem::find(text, b"hotplug/target").is_some();
    let tools: [&[u8]; 3] = [b"chcpu", b"ppc64_cpu", b"smt/control"];
    let tool = tools.iter().any(|tool| memmem::find(text, tool).is_some());
    Signs { folder, switch, tool, packed: memmem::find(text, b"UPX!").is_some() }
}

/// Searches a program file.
///
/// # Errors
/// It is no Linux program, it is too large, or it cannot be read.
pub(crate) fn search_program(file: &File) -> io::Result<Signs> {
    let mut buffer = Vec::with_capacity(CHUNK + OVERLAP);
    let (mut signs, mut total) = (Signs::default(), 0);
    loop {
        let read = file.take(CHUNK as u64).read_to_end(&mut buffer)?;
        if total == 0 && !is_elf(&buffer) {
            return Err(io::Error::other("it is not an ELF program"));
        }
        total += read as u64;
        if total > LARGEST {
            return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
        }
        let found = window(&buffer, total == read as u64, read == 0);
        signs.folder |= found.folder;
        signs.switch |= found.switch;
        signs.tool |= found.tool;
        signs.packed |= found.packed;
        if read == 0 {
            return Ok(signs);
        }
        let done = buffer.len().saturating_sub(OVERLAP);
        buffer.drain(..done);
    }
}

/// Whether the file begins like a program or library and has a full header.
fn is_elf(head: &[u8]) -> bool {
    let class = head.get(4).copied();
    let header = match class {
        Some(1) => 52,
        Some(2) => 64,
        _ => return false,
    };
    head.starts_with(b"\x7fELF") && head.len() >= header && matches!(head[5], 1 | 2)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_program_that_names_switches_shows_a_sign_and_one_that_reads_lists_does_not() {
        for (text, sign) in [
            (&b"/sys/devices/system/cpu/cpu%d/online"[..], true),
            (b"/sys/devices/system/cpu\0online", true),
            (b"/sys/devices/system/cpu/online\0/sys/devices/system/cpu/possible", false),
            (b"/sys/devices/system/cpu/cpu%d/topology/core_id", false),
            (b"chcpu", true),
            (b"online", false),
        ] {
            assert_eq!(search(text).said().is_some(), sign, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_sign_that_spans_two_reads_is_found() {
        let mut program = vec![0; 64];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        program.resize(CHUNK - 8, 0);
        program.extend_from_slice(b"/sys/devices/system/cpu/cpu0/online");
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&program).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        assert!(search_program(&file).unwrap().said().is_some());
    }

    #[test]
    fn a_file_that_is_not_a_program_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"\x7fELF\0").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        assert!(search_program(&file).is_err());
    }
}
