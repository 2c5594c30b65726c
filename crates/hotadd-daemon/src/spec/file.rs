//! Whether a driver's file can be used: checked before the driver is loaded.

use hotadd::ownership::{self, Untrusted};

use super::FileSpec;

impl FileSpec {
    /// Why the file is not loaded, if other users could change it. A path that is missing or is not a file is reported when it
    /// is loaded.
    pub(crate) fn untrusted(&self) -> Option<Untrusted> {
        match ownership::file(&self.path) {
            Ok(_) | Err(Untrusted::Unreadable { .. } | Untrusted::Kind { .. }) => None,
            Err(why) => Some(why),
        }
    }

    /// Why the file would not be loaded, as far as the file shows.
    pub(crate) fn unusable(&self) -> Option<String> {
        if let Some(why) = self.untrusted() {
            return Some(why.to_string());
        }
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        let read = hotadd_nt::File::read(&self.path).and_then(|file| file.inspect().map(drop));
        #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
        let read = ownership::open(&self.path).map(drop);
        read.err().map(|error| format!("{}: {error}", self.path.display()))
    }
}
