//! Saved states of guests that have booted: restoring one takes 0.3 s, and booting takes 5 s of processor time or more. A state
//! holds nothing of this project but `lab-init`, so it is used until that, its libraries, the kernel, the userland or QEMU's arguments
//! change.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use crate::cache::Cache;
use crate::{Error, Guest};

/// States that were not used for this time are deleted when another one is saved.
const UNUSED: Duration = Duration::from_secs(3 * 24 * 3600);

/// The time limit for saving or restoring a state.
const LIMIT: Duration = Duration::from_secs(120);

/// The place of a state, locked against other processes and threads while this exists.
pub(crate) struct Saved {
    dir: PathBuf,
    recipe: String,
    _lock: File,
}

impl Saved {
    /// Finds the place of guests that are made in this way. Waits while another thread or process saves the same state.
    pub(crate) fn find(recipe: &str) -> Result<Saved, Error> {
        Saved::find_in(&Cache::folder()?.join("saved"), recipe)
    }

    fn find_in(all: &Path, recipe: &str) -> Result<Saved, Error> {
        let mut hasher = DefaultHasher::new();
        recipe.hash(&mut hasher);
        let dir = all.join(format!("{:016x}", hasher.finish()));
        let lock = || -> io::Result<_> {
            fs::create_dir_all(&dir)?;
            // Truncating would change the time of its last use.
            let path = dir.join("lock");
            let lock = File::options().create(true).truncate(false).write(true).open(path)?;
            flock(&lock, FlockOperation::LockExclusive)?;
            Ok(lock)
        };
        let lock = lock().map_err(Error::here("a folder for a guest's saved state"))?;
        Ok(Saved { dir, recipe: recipe.to_owned(), _lock: lock })
    }

    /// The file with the state, if it is complete and of guests that are made in this way.
    pub(crate) fn state(&self) -> Option<PathBuf> {
        let state = self.dir.join("state");
        let complete = fs::read_to_string(self.dir.join("recipe")).ok()?;
        let size = fs::metadata(&state).ok()?.len();
        if std::env::var_os("HOTADD_LAB_BOOT").is_some() || complete != self.described(size) {
            return None;
        }
        // The time of its last use. Without it the state is deleted earlier, which only costs time.
        let _ =
            File::open(self.dir.join("lock")).and_then(|lock| lock.set_modified(SystemTime::now()));
        Some(state)
    }

    /// The guest's console until its state was saved.
    pub(crate) fn console(&self) -> PathBuf {
        self.dir.join("console")
    }

    /// Saves the state of a guest. The guest continues.
    pub(crate) fn keep(&self, guest: &Guest) -> Result<(), Error> {
        let here = || Error::here(format!("saving a guest in {}", self.dir.display()));
        delete_unused(&self.dir);
        let (recipe, state) = (self.dir.join("recipe"), self.dir.join("state"));
        // Without the recipe the state is incomplete, until it is written again.
        fs::remove_file(&recipe).or_else(absent).map_err(here())?;
        fs::remove_file(&state).or_else(absent).map_err(here())?;
        guest.qmp("stop", json!({}))?;
        guest.migrates("migrate", &state)?;
        fs::write(self.console(), guest.console()).map_err(here())?;
        guest.continues()?;
        let size = fs::metadata(&state).map_err(here())?.len();
        fs::write(&recipe, self.described(size)).map_err(here())
    }

    fn described(&self, size: u64) -> String {
        format!("{}{size} bytes\n", self.recipe)
    }
}

impl Guest {
    /// Loads a state into a guest that waits for it, and lets the guest run.
    pub(crate) fn restored(self, state: &Path) -> Result<Guest, Error> {
        self.migrates("migrate-incoming", state)?;
        self.continues()?;
        Ok(self)
    }

    /// Lets a guest run whose state was saved or loaded.
    fn continues(&self) -> Result<(), Error> {
        let until = Instant::now() + LIMIT;
        // QEMU finishes shortly after its last event, of which it has no event of its own.
        while self.qmp("query-status", json!({}))?["status"] == "finish-migrate" {
            if Instant::now() > until {
                let reason = "it does not finish with the state".to_owned();
                return Err(Error::Qemu { command: "cont".to_owned(), reason });
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.qmp("cont", json!({})).map(drop)
    }

    fn migrates(&self, command: &str, state: &Path) -> Result<(), Error> {
        let events = json!({ "capability": "events", "state": true });
        self.qmp("migrate-set-capabilities", json!({ "capabilities": [events] }))?;
        let from = self.events().len();
        self.qmp(command, json!({ "uri": format!("file:{}", state.display()) }))?;
        let ended = self.qmp.event(from, LIMIT, |event| {
            let status = event["data"]["status"].as_str()?.to_owned();
            let last = ["completed", "failed"].contains(&&*status);
            (event["event"] == "MIGRATION" && last).then_some(status)
        });
        if ended.as_deref() == Some("completed") {
            return Ok(());
        }
        let reason = format!("it is {ended:?}: {}", self.qmp("query-migrate", json!({}))?);
        Err(Error::Qemu { command: command.to_owned(), reason })
    }
}

/// Deletes the states beside this one that were not used for long. A state that cannot be deleted is left.
fn delete_unused(beside: &Path) {
    let others = beside.parent().and_then(|all| fs::read_dir(all).ok());
    for dir in others.into_iter().flatten().flatten().map(|entry| entry.path()) {
        let used = fs::metadata(dir.join("lock")).and_then(|lock| lock.modified());
        let unused = used.is_ok_and(|used| used.elapsed().is_ok_and(|time| time > UNUSED));
        if dir != beside && unused {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// Accepts that a file to be deleted does not exist.
fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(all: &Path, recipe: &str) -> Saved {
        let saved = Saved::find_in(all, recipe).unwrap();
        fs::write(saved.dir.join("state"), "all of it").unwrap();
        fs::write(saved.dir.join("recipe"), saved.described(9)).unwrap();
        saved
    }

    #[test]
    fn a_state_is_used_only_if_it_is_complete_and_of_the_same_recipe() {
        let all = tempfile::tempdir().unwrap();
        let saved = complete(all.path(), "one");
        assert!(saved.state().is_some());
        assert!(Saved::find_in(all.path(), "another").unwrap().state().is_none());
        fs::write(saved.dir.join("state"), "all of").unwrap();
        assert!(saved.state().is_none(), "it is cut");
        fs::write(saved.dir.join("state"), "all of it").unwrap();
        fs::write(saved.dir.join("recipe"), "another of the same hash").unwrap();
        assert!(saved.state().is_none(), "it is of another guest");
        fs::remove_file(saved.dir.join("recipe")).unwrap();
        assert!(saved.state().is_none(), "it was not saved to its end");
    }

    #[test]
    fn states_that_nobody_uses_are_deleted() {
        let all = tempfile::tempdir().unwrap();
        let saved = ["old", "used", "new"].map(|recipe| complete(all.path(), recipe));
        for old in &saved[..2] {
            let before = SystemTime::now() - UNUSED - Duration::from_secs(60);
            File::open(old.dir.join("lock")).unwrap().set_modified(before).unwrap();
        }
        assert!(saved[1].state().is_some());
        delete_unused(&saved[2].dir);
        assert_eq!(saved.map(|saved| saved.dir.exists()), [false, true, true]);
    }
}
