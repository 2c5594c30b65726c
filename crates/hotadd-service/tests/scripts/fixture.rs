//! A folder for scripts, and a partition to test them with.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hotadd::hardware::Simulated;
use hotadd::{Error, Event, EventKind, HardwareId, Partition, Registration};
use hotadd_service::children::{Children, Ending};
use hotadd_service::script::Script;
use tempfile::TempDir;

/// Far longer than any step of these tests takes.
pub const LONG: Duration = Duration::from_secs(30);

pub struct Fixture(TempDir);

impl Fixture {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes an executable with this text. `$here` in it is the folder.
    /// ///
    /// /// Another process writes it: a file that is open for writing cannot be run, and a child that another
    /// thread starts meanwhile would hold our descriptor for a moment.
    pub fn executable(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = text.replace("$here", self.0.path().to_str().unwrap());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "printf %s \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", &text]);
        command.arg(&path).stdin(Stdio::null());
        let writer = Children::get().spawn(command).unwrap();
        assert_eq!(writer.wait_timeout(LONG), Some(Ending::Exited(0)));
        path
    }

    /// The same for a shell script.
    pub fn script(&self, name: &str, body: &str) -> PathBuf {
        self.executable(name, &format!("#!/bin/sh\n{body}\n"))
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// A partition with processor 0 active and 1, 2 and 3 to add, and a registered script.
pub struct Rig {
    pub partition: Partition,
    pub registration: Registration,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Rig {
    pub fn new(path: &Path, limit: Duration) -> Self {
        let partition = Partition::simulated(&Simulated::new(1, 3).unwrap()).unwrap();
        let script = Script::new(path).unwrap().time_limit(limit);
        let registration =
            partition.registration("script").at_once().without_replay().register(script).unwrap();
        let events = Arc::<Mutex<Vec<_>>>::default();
        let seen = Arc::clone(&events);
        partition
            .observe(move |event: &Event| seen.lock().unwrap().push(event.clone()))
            .unwrap()
            .detach();
        Self { partition, registration, events }
    }

    pub fn add(&self, id: u32) -> Result<(), Error> {
        self.partition.add(HardwareId(id)).map(drop)
    }

    /// The reason for the refusal of this processor.
    pub fn refusal(&self, id: u32) -> String {
        let error = self.add(id).unwrap_err();
        assert_eq!(error.clause(), "A3");
        assert!(self.partition.active().by_id(HardwareId(id)).is_none());
        error.reason()
    }

    pub fn breaches(&self) -> Vec<(&'static str, String)> {
        let events = self.events.lock().unwrap();
        let breaches = events.iter().filter(|event| event.kind == EventKind::Breach);
        breaches.map(|event| (event.clause.unwrap(), event.reason.clone().unwrap())).collect()
    }
}
