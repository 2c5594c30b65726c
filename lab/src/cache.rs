//! A cache of what was fetched, in a folder that all of the user's projects share. A part is either complete or absent.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::Error;

/// The cache's folder, locked against other processes while this exists.
pub(crate) struct Cache {
    dir: PathBuf,
    _lock: File,
}

impl Cache {
    /// Opens `$HOTADD_LAB`, or `hotadd-lab` in the folder of the user's caches. Waits for another process that fetches.
    pub(crate) fn open() -> Result<Cache, Error> {
        let dir = Cache::folder()?;
        let held = fs::create_dir_all(&dir).and_then(|()| {
            let lock = File::create(dir.join("lock"))?;
            flock(&lock, FlockOperation::LockExclusive)?;
            Ok(lock)
        });
        match held {
            Ok(lock) => Ok(Cache { dir, _lock: lock }),
            Err(e) => Err(Error::Unavailable(format!("{} cannot be written: {e}", dir.display()))),
        }
    }

    /// The path of its folder.
    pub(crate) fn folder() -> Result<PathBuf, Error> {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        set("HOTADD_LAB")
            .or_else(|| set("XDG_CACHE_HOME").map(|caches| caches.join("hotadd-lab")))
            .or_else(|| set("HOME").map(|home| home.join(".cache/hotadd-lab")))
            .ok_or_else(|| Error::Unavailable("neither HOTADD_LAB nor HOME is set".into()))
    }

    /// Returns the folder of a part. If it is absent or no longer `good`, `make` makes it in a temporary place.
    pub(crate) fn part(
        &self,
        name: &str,
        good: impl Fn(&Path) -> Result<(), String>,
        make: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<PathBuf, Error> {
        let part = self.dir.join(name);
        if good(&part).is_ok() {
            return Ok(part);
        }
        let new = tempfile::Builder::new()
            .prefix(&format!("{name}."))
            .tempdir_in(&self.dir)
            .map_err(Error::here("a folder in the cache"))?;
        make(new.path())?;
        good(new.path()).map_err(Error::Unavailable)?;
        let placed = fs::remove_dir_all(&part)
            .or_else(|e| if part.exists() { Err(e) } else { Ok(()) })
            .and_then(|()| fs::rename(new.keep(), &part));
        placed.map_err(Error::here(format!("placing {}", part.display())))?;
        Ok(part)
    }
}
