//! The names of source files, as short as a person wants them.
//!
//! A compiler records the path on the machine where it ran. A driver is mostly verified in the folder of its source: there, a path
//! relative to the folder can be clicked in a terminal, and tools find the file by it. On another machine the recorded path does
//! not exist, contains the name of the user that built the driver, and makes two reports of the same driver differ. So only the
//! file's name remains.

use std::path::Path;

/// How the parts of a path are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separators {
    /// By `/`.
    Unix,
    /// By `\` or `/`, after a drive.
    Windows,
}

/// The path relative to `folder` if it is in it. Otherwise a relative path as it is recorded, or the file's name. Parts are always
/// separated by `/`.
pub(super) fn shorten(recorded: &str, separators: Separators, folder: Option<&Path>) -> String {
    let windows = separators == Separators::Windows;
    let separator = |c: char| c == '/' || windows && c == '\\';
    let drive = windows
        && recorded.as_bytes().get(1) == Some(&b':')
        && recorded.as_bytes()[0].is_ascii_alphabetic();
    let absolute = drive || recorded.starts_with(separator);
    let mut parts = Vec::new();
    // Whether it leads out of the folder in which the compiler ran, which is not known.
    let mut outside = false;
    for part in recorded.split(separator) {
        match part {
            "" | "." => {}
            ".." => outside |= parts.pop().is_none() && !absolute,
            part => parts.push(part),
        }
    }
    let name = parts.last().map_or_else(|| recorded.to_owned(), |&name| name.to_owned());
    if !absolute {
        return if outside { name } else { parts.join("/") };
    }
    let inside = folder.and_then(|folder| {
        let folder: Vec<&str> =
            folder.to_str()?.split('/').filter(|part| !part.is_empty()).collect();
        parts.strip_prefix(folder.as_slice()).filter(|rest| !rest.is_empty())
    });
    inside.map_or(name, |rest| rest.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(recorded: &str) -> String {
        shorten(recorded, Separators::Unix, Some(Path::new("/home/me/percpu")))
    }

    fn windows(recorded: &str) -> String {
        shorten(recorded, Separators::Windows, Some(Path::new("/home/me/percpu")))
    }

    #[test]
    fn a_file_in_the_current_folder_is_relative_to_it() {
        assert_eq!(unix("/home/me/percpu/src/add.c"), "src/add.c");
        assert_eq!(unix("/home/me/percpu/./src/../add.c"), "add.c");
        // clang on Linux separates by both.
        assert_eq!(windows("/home/me/percpu\\src/add.c"), "src/add.c");
        assert_eq!(windows("\\home\\me\\percpu\\add.c"), "add.c");
    }

    #[test]
    fn a_file_elsewhere_is_its_name() {
        assert_eq!(unix("/home/me/other/add.c"), "add.c");
        assert_eq!(unix("/home/me/percpu2/add.c"), "add.c");
        assert_eq!(unix("/home/me/percpu/../add.c"), "add.c");
        assert_eq!(windows("C:\\build\\percpu\\src\\add.c"), "add.c");
        assert_eq!(windows("\\\\server\\share\\add.c"), "add.c");
        assert_eq!(shorten("/a/b.c", Separators::Unix, None), "b.c");
    }

    #[test]
    fn a_relative_path_stays_unless_it_leads_out() {
        assert_eq!(unix("src/add.c"), "src/add.c");
        assert_eq!(unix("./src/x/../add.c"), "src/add.c");
        assert_eq!(unix("../src/add.c"), "add.c");
        assert_eq!(windows("src\\add.c"), "src/add.c");
        assert_eq!(unix("src\\add.c"), "src\\add.c");
    }

    #[test]
    fn a_path_without_a_name_is_left_alone() {
        for odd in ["", "/", "..", "/..", "é:\\"] {
            assert_eq!(unix(odd), odd);
        }
        assert_eq!(windows("C:"), "C:");
        assert_eq!(windows("é"), "é");
    }
}
