//! The users that hotadd runs as: the user that runs the test, and if that is root also a user without privileges.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, lchown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::common::hotadd;
use crate::stage::{Daemon, Stage};

/// The user and the group named nobody.
pub(crate) const NOBODY: u32 = 65534;

/// A user and its only group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User(pub(crate) u32);

impl User {
    /// The user that runs this, and if that is root also a user without privileges.
    pub(crate) fn all() -> Vec<Self> {
        let own = geteuid();
        match own.is_root() {
            true => vec![Self(0), Self(NOBODY)],
            false => vec![Self(own.as_raw())],
        }
    }

    pub(crate) fn is_root(self) -> bool {
        self.0 == 0
    }

    /// Whether this is not the user that runs the test. Then the test runs as root.
    fn is_other(self) -> bool {
        self.0 != geteuid().as_raw()
    }

    /// Makes a command run as this user.
    pub(crate) fn command(self, mut command: Command) -> Command {
        if self.is_other() {
            command.uid(self.0).gid(self.0).current_dir("/");
        }
        command
    }

    pub(crate) fn output(self, args: &[&str], runtime_dir: &Path) -> Output {
        let mut command = hotadd(args);
        command.env("XDG_RUNTIME_DIR", runtime_dir);
        crate::common::live::ends(self.command(command))
    }

    /// Gives a folder and its content to this user. Every user may list it.
    pub(crate) fn give(self, path: &Path) {
        for entry in fs::read_dir(path).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                self.give(&entry.path());
            }
            lchown(entry.path(), Some(self.0), Some(self.0)).unwrap();
        }
        chown(path, Some(self.0), Some(self.0)).unwrap();
    }

    /// Connects as this user. The kernel records the user of the connecting thread, and each thread can have its own.
    pub(crate) fn connect(self, socket: &Path) -> std::io::Result<UnixStream> {
        let socket = socket.to_owned();
        let connect = move || {
            if self.is_other() {
                let (uid, gid) = (Uid::from_raw(self.0), Gid::from_raw(self.0));
                set_thread_groups(&[]).unwrap();
                set_thread_res_gid(gid, gid, gid).unwrap();
                set_thread_res_uid(uid, uid, uid).unwrap();
            }
            UnixStream::connect(socket)
        };
        thread::spawn(connect).join().unwrap()
    }

    /// A simulated daemon of this user. It begins with processors 0 and 1.
    pub(crate) fn daemon(self, more: &str) -> Daemon {
        let stage = self.stage(more);
        let command = self.command(stage.command());
        let mut daemon = Daemon::start(stage, command);
        daemon.until("simulated processors");
        daemon
    }

    /// The folder and the configuration of such a daemon.
    pub(crate) fn stage(self, more: &str) -> Stage {
        let stage = Stage::new(&config(more));
        fs::set_permissions(stage.path(""), Permissions::from_mode(0o755)).unwrap();
        self.give(Path::new(&stage.path("")));
        stage
    }
}

/// A daemon's configuration with four processors to add, a party that refuses processor 5 only, and more.
pub(crate) fn config(more: &str) -> String {
    format!(
        "[hardware]\nkind = 'simulated'\nsimulate = '2+4'\nat-start = 'leave'\n[[party]]\ndriver = 'sample:name=honest,veto=5'\n{more}"
    )
}
