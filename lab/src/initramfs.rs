//! The archive that a guest boots from: its first process, busybox for `sh` and other programs or a [userland](crate::debian),
//! and the files that the test includes.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cpio::newc::{Builder, ModeFileType, trailer};

/// Folders that the lab's first process mounts on, or that programs expect.
pub(crate) const FOLDERS: [&str; 10] =
    ["bin", "cgroup", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var"];

/// An archive under construction.
pub(crate) struct Archive<W> {
    to: W,
    /// The next inode number: the kernel takes files with equal numbers for hard links.
    next: u32,
    folders: Vec<PathBuf>,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(to: W) -> Archive<W> {
        Archive { to, next: 1, folders: Vec::new() }
    }

    /// Declares a path that already exists where the archive is unpacked, as a folder or a link to one.
    pub(crate) fn known(&mut self, path: &str) {
        self.folders.push(path.into());
    }

    /// Adds a program, or another file that all may read and run. Its folder is made if necessary.
    pub(crate) fn file(&mut self, path: &str, from: &Path) -> io::Result<()> {
        let bytes = fs::read(from)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", from.display())))?;
        self.entry(path, ModeFileType::Regular, 0o755, &bytes)
    }

    /// Adds all files in a folder of this machine, owned by root: `place` returns the path of each file in the archive, or `None`
    /// to leave it out.
    pub(crate) fn tree(
        &mut self,
        root: &Path,
        place: &impl Fn(&Path) -> Option<PathBuf>,
    ) -> io::Result<()> {
        let mut rest = vec![root.to_owned()];
        while let Some(folder) = rest.pop() {
            for entry in fs::read_dir(&folder)? {
                let from = entry?.path();
                let Some(to) = from.strip_prefix(root).ok().and_then(place) else { continue };
                let data = from.symlink_metadata()?;
                let to_text = to.to_string_lossy();
                if data.is_dir() {
                    self.folder(&to)?;
                    rest.push(from);
                } else if data.is_symlink() {
                    self.link(&to_text, &fs::read_link(&from)?.to_string_lossy())?;
                } else if data.is_file() {
                    let mode = if data.mode() & 0o100 == 0 { 0o644 } else { 0o755 };
                    self.entry(&to_text, ModeFileType::Regular, mode, &fs::read(&from)?)?;
                }
            }
        }
        Ok(())
    }

    /// Adds a file that all may read.
    pub(crate) fn text(&mut self, path: &str, text: &str) -> io::Result<()> {
        self.entry(path, ModeFileType::Regular, 0o644, text.as_bytes())
    }

    pub(crate) fn link(&mut self, path: &str, to: &str) -> io::Result<()> {
        self.entry(path, ModeFileType::Symlink, 0o777, to.as_bytes())
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        trailer(self.to)
    }

    pub(crate) fn folder(&mut self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || self.folders.iter().any(|known| known == path) {
            return Ok(());
        }
        self.folders.push(path.to_owned());
        self.entry(&path.to_string_lossy(), ModeFileType::Directory, 0o755, &[])
    }

    fn entry(&mut self, path: &str, kind: ModeFileType, mode: u32, bytes: &[u8]) -> io::Result<()> {
        // Names in the archive begin at the root, without a slash.
        let path = path.trim_start_matches('/');
        let above: Vec<PathBuf> = Path::new(path).ancestors().skip(1).map(Into::into).collect();
        for folder in above.iter().rev() {
            self.folder(folder)?;
        }
        let size = u32::try_from(bytes.len())
            .map_err(|_| io::Error::other(format!("{path} is too large for a guest")))?;
        let head = Builder::new(path).ino(self.next).mode(mode).set_mode_file_type(kind);
        self.next += 1;
        let mut file = head.write(&mut self.to, size);
        file.write_all(bytes)?;
        file.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use cpio::newc::Reader;

    use super::*;

    #[test]
    fn an_archive_has_each_folder_before_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("program");
        fs::write(&from, "seven b").unwrap();
        let mut archive = Archive::new(Vec::new());
        archive.file("/opt/a/program", &from).unwrap();
        archive.file("/opt/a/again", &from).unwrap();
        archive.link("/bin/sh", "busybox").unwrap();

        let mut rest = io::Cursor::new(archive.finish().unwrap());
        let mut found = Vec::new();
        loop {
            let mut reader = Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let ino = reader.entry().ino();
            let mut bytes = String::new();
            reader.read_to_string(&mut bytes).unwrap();
            rest = reader.finish().unwrap();
            found.push((name, mode, bytes, ino));
        }

        let of = |name: &str| found.iter().position(|entry| entry.0 == name);
        assert!(of("opt") < of("opt/a") && of("opt/a") < of("opt/a/program"), "{found:?}");
        assert!(of("opt").is_some(), "a folder has no entry: {found:?}");
        let program = &found[of("opt/a/program").unwrap()];
        assert_eq!((program.1, &*program.2), (0o100_755, "seven b"));
        let link = &found[of("bin/sh").unwrap()];
        assert_eq!((link.1, &*link.2), (0o120_777, "busybox"));
        let mut numbers: Vec<_> = found.iter().map(|entry| entry.3).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), found.len(), "two files with one number are links of each other");
        assert_eq!(found.iter().filter(|entry| entry.0 == "bin").count(), 1, "folders come once");
    }
}
