//! A message bus of the test's own.

#![allow(dead_code, unreachable_pub, reason = "a module of tests, and not all of them end it")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A daemon that listens in a folder. It ends with this.
pub struct Daemon {
    process: Child,
    pub address: String,
}

impl Daemon {
    pub fn start(folder: &Path) -> Self {
        let socket = folder.join("bus");
        let config = folder.join("bus.conf");
        // As a session's, but that it lets everybody in and forwards answers to calls of others: who they are, and what
        // that is, is for us to see.
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
             "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>
            <policy context="default"><allow user="*"/>
            <allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
            <allow send_type="error" send_requested_reply="false"/>
            <allow receive_type="error" receive_requested_reply="false"/>
            </policy></busconfig>"#,
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut process = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address=1"])
            .stdout(Stdio::piped())
            // It complains of limits that it may not raise.
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon, of the package of that name, is installed by ./test");
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(!address.is_empty(), "dbus-daemon did not begin to listen");
        Self { process, address: address.trim().to_owned() }
    }

    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
