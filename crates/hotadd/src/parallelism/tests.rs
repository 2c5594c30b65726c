//! Tests of the number of threads, with folders in place of `/proc` and `/sys`.

mod changing;
#[cfg(any(feature = "rayon", feature = "tokio"))]
mod followed;
mod quotas;
mod real;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder in place of `/`, with the kernel's description of cgroups and mounts.
struct Root(TempDir);

impl Root {
    /// This process is in the cgroup at `own`, and version 2 is mounted at `/cg`.
    fn v2(own: &str) -> Self {
        let root = Self::new("30 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n", &format!("0::{own}\n"));
        root.group(&format!("cg{own}"));
        root
    }

    fn new(mounts: &str, cgroups: &str) -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        root.file("proc/self/mountinfo", mounts);
        root.file("proc/self/cgroup", cgroups);
        root
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn file(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Writes another quota into a file. The kernel's files never have half of one, so this file is not emptied first.
    fn change(&self, path: &str, quota: &str) {
        let mut file = fs::OpenOptions::new().write(true).open(self.0.path().join(path)).unwrap();
        file.write_all(format!("{quota:40}").as_bytes()).unwrap();
    }

    /// Makes a cgroup: it has a list of its processes.
    fn group(&self, path: &str) {
        self.file(&format!("{path}/cgroup.procs"), "");
    }

    /// A path without the folder of this root.
    fn inside(&self, path: &Path) -> String {
        path.strip_prefix(self.0.path()).unwrap().display().to_string()
    }
}
