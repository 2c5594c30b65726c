//! A message bus that a test starts.

#![allow(dead_code, unreachable_pub, reason = "a module of tests, and not all of them end it")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A daemon that listens in a folder. It is killed when this is dropped.
pub struct Daemon {
    process: Child,
    pub address: String,
    pub socket: PathBuf,
}

impl Daemon {
    pub fn start(folder: &Path) -> Self {
        Self::of_a_session(folder, "")
    }

    /// The same. It also activates the services of this folder.
    pub fn that_starts(folder: &Path, services: &Path) -> Self {
        Self::of_a_session(folder, &format!("<servicedir>{}</servicedir>", services.display()))
    }

    fn of_a_session(folder: &Path, more: &str) -> Self {
        // Like the configuration of a session bus, except that every user may connect and that it forwards
        // unrequested replies. Checking the sender is the partition's task.
        let policy = r#"<type>session</type><auth>EXTERNAL</auth>
            <policy context="default"><allow user="*"/>
            <allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
            <allow send_type="method_return" send_requested_reply="false"/>
            <allow receive_type="method_return" receive_requested_reply="false"/>
            <allow send_type="error" send_requested_reply="false"/>
            <allow receive_type="error" receive_requested_reply="false"/>
            </policy>"#;
        Self::with(folder, &format!("{policy}{more}"))
    }

    /// A bus of the system's kind that can activate the services of this folder.
    pub fn with_services(folder: &Path, services: &Path) -> Self {
        let policy = format!(
            r#"<type>system</type><auth>EXTERNAL</auth><servicedir>{}</servicedir>
            <policy context="default"><allow user="*"/><allow send_destination="*"/>
            <allow receive_sender="*"/></policy>"#,
            services.display()
        );
        Self::with(folder, &policy)
    }

    /// A bus with this machine's own configuration and with our policy, as installed. Needs root. Returns
    /// `None` if this machine has no such configuration.
    pub fn like_the_machines(folder: &Path) -> Option<Self> {
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dist/org.hotadd.Hotadd1.conf");
        let machines = Path::new("/usr/share/dbus-1/system.conf");
        let include = |path: &Path| format!("<include>{}</include>", path.display());
        let policy = format!("{}{}", include(machines), include(Path::new(ours)));
        machines.exists().then(|| Self::with(folder, &policy))
    }

    fn with(folder: &Path, policy: &str) -> Self {
        let socket = folder.join("bus");
        let config = folder.join("bus.conf");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
             "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig><listen>unix:path={}</listen>{policy}</busconfig>"#,
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut process = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            // Replaces the address in its configuration.
            .arg(format!("--address=unix:path={}", socket.display()))
            .args(["--nofork", "--nopidfile", "--nosyslog", "--print-address=1"])
            .stdout(Stdio::piped())
            // It reports limits that it may not raise.
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon, of the package of that name, is installed by ./test");
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(!address.is_empty(), "dbus-daemon did not begin to listen");
        Self { process, address: address.trim().to_owned(), socket }
    }

    pub fn kill(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
