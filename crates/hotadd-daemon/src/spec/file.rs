//! Whether a driver's file can be used: told before anybody is to be called.

use hotadd::ownership::{self, Untrusted};

use super::FileSpec;

impl FileSpec {
    /// Why it is not loaded, if others could change it. What is not there, or is no file, is told by who loads it.
    pub(crate) fn untrusted(&self) -> Option<Untrusted> {
        match ownership::file(&self.path) {
            Ok(_) | Err(Untrusted::Unreadable { .. } | Untrusted::Kind { .. }) => None,
            Err(why) => Some(why),
        }
    }

    /// Why it would not be loaded, as far as its file says.
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
