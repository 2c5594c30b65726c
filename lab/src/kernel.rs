//! Debian's kernels for virtual machines. CPU hot-plug, cpusets and the console are built in, so that no modules are needed.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::apt::Apt;
use crate::cache::Cache;
use crate::{Error, qemu};

/// The kernel of a guest. The two differ in the effect of hot-plug on affinity masks, and in the numbering of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Linux 6.1, of Debian 12.
    V6_1,
    /// Linux 6.12, of Debian 13 and of Debian 12's updates.
    V6_12,
}

/// Metapackages that depend on a kernel. Which one exists depends on the release.
const METAS: [&str; 2] = ["linux-image-cloud-amd64", "linux-image-6.12-cloud-amd64"];

impl Kernel {
    /// All kernels.
    pub const ALL: [Kernel; 2] = [Kernel::V6_1, Kernel::V6_12];

    fn version(self) -> &'static str {
        match self {
            Kernel::V6_1 => "6.1",
            Kernel::V6_12 => "6.12",
        }
    }

    /// The kernel's image, fetched if necessary.
    pub(crate) fn image(self, cache: &Cache, apt: &mut qemu::Lists) -> Result<PathBuf, Error> {
        let version = self.version();
        let good = |part: &Path| is_linux(&part.join("vmlinuz"), version);
        let part = cache.part(&format!("linux-{version}"), good, |part| {
            let apt: &Apt = apt.get()?;
            let package = apt.behind(&METAS, &format!("linux-image-{version}."))?;
            let root = tempfile::tempdir_in(part).map_err(Error::here("a folder to unpack in"))?;
            apt.unpack(&[package], root.path())?;
            // All other files, 100 MB of them, are modules.
            let boot = root.path().join("boot");
            let images = fs::read_dir(&boot).map_err(Error::here("reading /boot of a package"))?;
            let image = images.filter_map(|file| file.ok().map(|file| file.path())).find(|path| {
                path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz"))
            });
            let image =
                image.ok_or_else(|| Error::Unavailable("no kernel in its package".into()))?;
            fs::rename(image, part.join("vmlinuz")).map_err(Error::here("keeping a kernel"))
        })?;
        Ok(part.join("vmlinuz"))
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Linux {}", self.version())
    }
}

/// Whether a file is a bootable image of a version, by the header of the x86 boot protocol.
fn is_linux(path: &Path, version: &str) -> Result<(), String> {
    let image = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let word =
        |at: usize| Some(usize::from(u16::from_le_bytes(image.get(at..at + 2)?.try_into().ok()?)));
    let magic = image.get(0x202..0x206) == Some(b"HdrS");
    let found = word(0x20e).and_then(|at| image.get(at + 0x200..)).filter(|_| magic);
    if found.is_some_and(|text| text.starts_with(format!("{version}.").as_bytes())) {
        Ok(())
    } else {
        Err(format!("{} is not an image of Linux {version}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_image_or_one_of_another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmlinuz");
        let mut image = vec![0; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        // The offset of the version, counted from the end of the first sector.
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x306].copy_from_slice(b"6.1.19");
        fs::write(&path, &image).unwrap();
        assert_eq!(is_linux(&path, "6.1"), Ok(()));
        assert!(is_linux(&path, "6.12").is_err(), "6.1.19 is not 6.12");
        fs::write(&path, &image[..0x2ff]).unwrap();
        assert!(is_linux(&path, "6.1").is_err(), "it ends before its version");
        fs::write(&path, []).unwrap();
        assert!(is_linux(&path, "6.1").is_err(), "it is empty");
        assert!(is_linux(&dir.path().join("none"), "6.1").is_err(), "it is not there");
    }
}
