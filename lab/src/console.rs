//! The output of a guest's kernel, kept in a file for error messages.

use std::path::{Path, PathBuf};

/// How much of the output an error shows, in bytes.
const SHOWN: usize = 4000;

#[derive(Clone, Debug)]
pub(crate) struct Console {
    path: PathBuf,
}

impl Console {
    pub(crate) fn at(path: PathBuf) -> Console {
        Console { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The whole output so far.
    pub(crate) fn text(&self) -> String {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// The end of the output.
    pub(crate) fn tail(&self) -> String {
        let text = self.text();
        let from = text.len().saturating_sub(SHOWN);
        let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text[from..].to_owned()
    }
}
