//! [`Contents`]: which processors were decided about and which parties were registered. A daemon leaves it to the next one in a
//! file.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hotadd::HardwareId;
use rustix::fs::OFlags;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

/// The only version of the file so far.
const VERSION: u32 = 1;

/// More bytes than a file of this daemon can have.
const MOST_BYTES: u64 = 1 << 20;

/// The most parties that are written. A daemon that waits for this many waits for most of its parties.
pub(super) const MOST_PARTIES: usize = 1024;

/// The most processors that there can be.
const MOST_PROCESSORS: usize = 2048;

/// Records decisions, not which processors are active: that is read from the kernel.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    version: u32,
    /// What the record is about. After another boot, or on other hardware, its processors are different ones.
    pub(super) of: Of,
    /// Each processor with the [plugging](crate::hardware::Governed::plugging) that was decided about.
    pub(super) processors: BTreeMap<u32, u64>,
    /// The names of the parties that registered at the socket. A name that is registered twice is listed twice.
    pub(super) parties: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    boot: String,
    hardware: String,
}

impl Of {
    /// This boot of the machine.
    pub(super) fn this(hardware: &str) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { boot: boot.trim().to_owned(), hardware: hardware.to_owned() }
    }
}

impl Contents {
    pub(super) fn nothing(of: Of) -> Self {
        Self { version: VERSION, of, processors: BTreeMap::new(), parties: Vec::new() }
    }

    pub(super) fn has(&self, id: HardwareId, plugging: u64) -> bool {
        self.processors.get(&id.0) == Some(&plugging)
    }

    /// The path of the file: beside the socket.
    pub(super) fn path(socket: &Path) -> PathBuf {
        let mut path = socket.as_os_str().to_owned();
        path.push(".decided");
        path.into()
    }

    /// Reads what another daemon has left, if it is about the same boot and hardware.
    ///
    /// # Errors
    /// Why the file cannot be trusted, as the end of a sentence.
    pub(super) fn read(path: &Path, of: &Of) -> Result<Option<Self>, String> {
        // Symbolic links are not followed, and opening a pipe does not wait.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| error.to_string())?,
        };
        let found = file.metadata().map_err(|error| error.to_string())?;
        if !found.is_file() || found.uid() != geteuid().as_raw() {
            return Err("it is not a regular file of this user".to_owned());
        }
        let mut text = String::new();
        let read = file.take(MOST_BYTES + 1).read_to_string(&mut text);
        if read.map_err(|error| error.to_string())? as u64 > MOST_BYTES {
            return Err("it is too long".to_owned());
        }
        Ok(Some(Self::parse(&text)?).filter(|contents| contents.of == *of))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let contents: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if contents.version != VERSION {
            return Err(format!(
                "it has version {}, and this program reads version {VERSION}",
                contents.version
            ));
        }
        if contents.processors.len() > MOST_PROCESSORS || contents.parties.len() > MOST_PARTIES {
            return Err("it names too many processors or parties".to_owned());
        }
        if !contents.parties.iter().all(|name| hotadd::text::is_name(name)) {
            return Err("it has an invalid party name".to_owned());
        }
        Ok(contents)
    }

    /// Replaces the file atomically: at every moment it is the old or the new one. It is not synced to disk: after another boot
    /// it is not used.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        // A daemon that was killed may have left a file of this name.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file: File = options.write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(new, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Contents {
        let mut contents = Contents::nothing(Of::this("hotplug"));
        contents.processors.extend([(0, 17), (3, 4_294_967_299)]);
        contents.parties.extend(["pool".to_owned(), "pool".to_owned(), "\"ä\"".to_owned()]);
        contents
    }

    #[test]
    fn the_state_survives_a_restart_and_a_replugged_processor_counts_as_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = Contents::path(&folder.path().join("try"));
        assert_eq!(path, folder.path().join("try.decided"));
        assert_eq!(
            Contents::read(&path, &Of::this("hotplug")),
            Ok(None),
            "no state file exists yet"
        );
        fs::write(folder.path().join("try.decided.new"), "left by one that was killed").unwrap();
        one().write(&path).unwrap();
        assert_eq!(Contents::read(&path, &Of::this("hotplug")), Ok(Some(one())));
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no other file is left");
        assert!(one().has(HardwareId(0), 17) && !one().has(HardwareId(0), 18));
        assert!(!one().has(HardwareId(1), 17), "a processor that is not listed is undecided");
    }

    proptest::proptest! {
        #[test]
        fn every_valid_party_name_survives_a_restart(
            mut names in proptest::collection::vec("\\PC{1,16}", 0..8),
            processors in proptest::collection::btree_map(0..2048_u32, proptest::prelude::any::<u64>(), 0..8),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("try.decided");
            let mut contents = Contents::nothing(Of::this("hotplug"));
            contents.processors = processors;
            // Other names cannot be parties (R7).
            names.retain(|name: &String| hotadd::text::is_name(name));
            contents.parties = names;
            contents.write(&path).unwrap();
            proptest::prop_assert_eq!(Contents::read(&path, &Of::this("hotplug")), Ok(Some(contents)));
        }
    }

    #[test]
    fn a_state_file_of_another_boot_or_hardware_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("try.decided");
        one().write(&path).unwrap();
        assert_eq!(Contents::read(&path, &Of::this("simulated")), Ok(None));
        let earlier = Of { boot: "another".to_owned(), ..Of::this("hotplug") };
        assert_eq!(Contents::read(&path, &earlier), Ok(None));
    }

    #[test]
    fn a_damaged_or_hostile_state_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("try.decided");
        let read = || Contents::read(&path, &Of::this("hotplug"));
        one().write(&path).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        // Truncated at every position.
        for end in (0..good.len()).filter(|end| good.is_char_boundary(*end)) {
            fs::write(&path, &good[..end]).unwrap();
            assert!(read().is_err(), "a truncated file is an error: {}", &good[..end]);
        }
        let name = "x".repeat(65);
        let many = vec!["\"x\""; MOST_PARTIES + 1].join(",");
        let all: Vec<_> = (0..2100).map(|id| format!("\"{id}\":1")).collect();
        for bad in [
            good.replace("\"version\":1", "\"version\":2"),
            good.replace("\"pool\"", "\"\""),
            good.replace("\"pool\"", "\"a\\nb\""),
            good.replace("\"pool\"", &format!("\"{name}\"")),
            good.replace("\"pool\"", &many),
            good.replace("\"0\":17", &all.join(",")),
            good.replace("\"0\":17", "\"0\":-1"),
            good.replace("\"version\"", "\"more\":0,\"version\""),
            format!("{good}{}", " ".repeat(1 << 20)),
        ] {
            assert_ne!(bad, good, "the case changes the file");
            fs::write(&path, &bad).unwrap();
            assert!(read().is_err(), "{}", &bad[..bad.len().min(200)]);
        }
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        assert!(read().is_err(), "a pipe is refused at once");
        fs::remove_file(&path).unwrap();
        let real = folder.path().join("real");
        one().write(&real).unwrap();
        std::os::unix::fs::symlink(&real, &path).unwrap();
        assert!(read().is_err(), "a link is not followed");
    }
}
