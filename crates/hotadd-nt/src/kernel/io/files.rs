//! Files (`Zw...File`). A driver's process may open no files, so opening one is refused, and no handle is one of a file.
//! Every refusal is printed, as a driver may fail later because of it.

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::{NtStatus, nt_status};
use crate::ground::world;
use crate::kernel::ex::callbacks::Attributes;
use crate::kernel::io::irp::IoStatus;
use crate::kernel::ke::irql;
use crate::kernel::ob::handles;
use crate::kernel::ob::references::TYPE_MISMATCH;

/// `STATUS_OBJECT_PATH_NOT_FOUND`
const OBJECT_PATH_NOT_FOUND: Status = Status::from_raw(0xC000_003A);

nt! {
    /// Refused: no folder is granted.
    fn ZwCreateFile(
        _file: Out<usize>, _access: u32, attributes: In<Attributes>, _status: Out<IoStatus>, _size: In<i64>,
        _kind: u32, _share: u32, _disposition: u32, _options: u32, _extra: usize, _extra_length: u32,
    ) -> NtStatus {
        refuse("ZwCreateFile", attributes)
    }

    /// Refused: no folder is granted.
    fn ZwOpenFile(
        _file: Out<usize>, _access: u32, attributes: In<Attributes>, _status: Out<IoStatus>, _share: u32,
        _options: u32,
    ) -> NtStatus {
        refuse("ZwOpenFile", attributes)
    }

    /// Refused: no folder is granted.
    fn ZwDeleteFile(attributes: In<Attributes>) -> NtStatus { refuse("ZwDeleteFile", attributes) }

    /// Refused: no folder is granted.
    fn ZwQueryFullAttributesFile(attributes: In<Attributes>, _to: usize) -> NtStatus {
        refuse("ZwQueryFullAttributesFile", attributes)
    }

    /// No handle is one of a file.
    fn ZwReadFile(
        file: usize, _event: usize, _apc: usize, _context: usize, _status: Out<IoStatus>, _to: Out<u8>,
        _length: u32, _offset: In<i64>, _key: In<u32>,
    ) -> NtStatus {
        not_a_file("ZwReadFile", file)
    }

    /// No handle is one of a file.
    fn ZwWriteFile(
        file: usize, _event: usize, _apc: usize, _context: usize, _status: Out<IoStatus>, _from: In<u8>,
        _length: u32, _offset: In<i64>, _key: In<u32>,
    ) -> NtStatus {
        not_a_file("ZwWriteFile", file)
    }

    /// No handle is one of a file.
    fn ZwQueryInformationFile(
        file: usize, _status: Out<IoStatus>, _to: Out<u8>, _length: u32, _class: i32,
    ) -> NtStatus {
        not_a_file("ZwQueryInformationFile", file)
    }

    /// No handle is one of a file.
    fn ZwSetInformationFile(
        file: usize, _status: Out<IoStatus>, _from: In<u8>, _length: u32, _class: i32,
    ) -> NtStatus {
        not_a_file("ZwSetInformationFile", file)
    }

    /// No handle is one of a file.
    fn ZwFlushBuffersFile(file: usize, _status: Out<IoStatus>) -> NtStatus { not_a_file("ZwFlushBuffersFile", file) }
}

fn refuse(function: &str, attributes: In<Attributes>) -> NtStatus {
    /// As much of a name as fits into a line.
    const LONGEST: usize = 260;
    irql::at_most(function, irql::PASSIVE);
    let units = attributes.get().name.non_null().map_or_else(Vec::new, |name| name.get().units());
    let name = String::from_utf16_lossy(&units[..units.len().min(LONGEST)]);
    world::get().console().print(&refusal(function, &name));
    // As for a driver that starts before the file systems: such drivers do without the file.
    nt_status(OBJECT_PATH_NOT_FOUND)
}

/// The line that reports a refusal. The name is the driver's, and may be hostile.
fn refusal(function: &str, name: &str) -> String {
    let name = hotadd::text::clean(name);
    format!("hotadd: {function} of {name} is refused: there is no file system for drivers\n")
}

fn not_a_file(function: &str, handle: usize) -> NtStatus {
    irql::at_most(function, irql::PASSIVE);
    nt_status(handles::find(handle).map_or(Status::INVALID_HANDLE, |_| TYPE_MISMATCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_with_hidden_characters_is_printed_without_them() {
        let line = refusal("ZwCreateFile", "\\??\\C:\\a\u{202e}b\u{200b}c\u{7}\nd");
        let (line, end) = line.split_at(line.len() - 1);
        assert!(hotadd::text::is_clean(line), "{line:?} has hidden characters");
        assert_eq!(end, "\n");
    }
}
