//! Files that commands call: scripts, which are followed, and programs, which are searched.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{DEPTH, Does, Doubt, FILES, Follower, Run, Sum};
use crate::known_agents;
use crate::opaque;
use crate::programs::{self, Kind};
use crate::script::{self, Subject};
use crate::tree::Content;
use crate::udev::glob::{self, Family, Fit};

/// The paths at which dist/install and packages install hotadd.
const OURS: [&str; 4] =
    ["/usr/bin/hotadd", "/usr/local/bin/hotadd", "/usr/sbin/hotadd", "/usr/local/sbin/hotadd"];

/// The paths that a program or a script can have that is called by a name.
pub(super) fn candidates(name: &str, source: Option<&Path>, folders: &[&str]) -> Vec<PathBuf> {
    let path = Path::new(name);
    if path.is_absolute() {
        return vec![path.to_owned()];
    }
    if name.contains('/') {
        // The working directory is unknown, so several are tried.
        let beside = source.and_then(Path::parent).unwrap_or(Path::new("/"));
        return vec![beside.join(path), Path::new("/").join(path), Path::new("/root").join(path)];
    }
    folders.iter().map(|folder| Path::new(folder).join(name)).collect()
}

impl Follower<'_> {
    /// Follows a file that is run, or all files that a pattern names. None if there is none.
    pub(crate) fn file(&self, path: &Path, run: Run<'_>) -> Option<Does> {
        let is_pattern = |text: &str| text.contains(['*', '?', '[']);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.parent().unwrap_or(Path::new("/"));
        if !is_pattern(&path.to_string_lossy()) {
            return self.one(path, run);
        }
        if is_pattern(&folder.to_string_lossy()) {
            let what = format!("{} is a pattern of folders, which is not expanded", path.display());
            return Some(Does::Unclear(vec![Doubt::new(what, "check which files it matches")]));
        }
        let mut sum = Sum::default();
        for other in self.tree.list(folder) {
            let family = Family { name: other.as_bytes(), numbered: false };
            if glob::fit(name.as_bytes(), family, false) != Fit::Never {
                sum.add(self.one(&folder.join(&other), run).unwrap_or(Does::Else));
            }
        }
        Some(sum.does())
    }

    fn one(&self, path: &Path, run: Run<'_>) -> Option<Does> {
        let unclear = |what: String| {
            let fix = format!("check what {} does", path.display());
            Some(Does::Unclear(vec![Doubt::new(what, fix)]))
        };
        let shown = path.display();
        let content = self.tree.look_into(path);
        match &content {
            Content::Missing | Content::Folder => return None,
            Content::Unread(reason) => {
                return unclear(format!("{shown} cannot be read: {reason}"));
            }
            Content::Special => return unclear(format!("{shown} is not a regular file")),
            Content::Text(_) | Content::Binary(_) => {}
        }
        let mut hasher = DefaultHasher::new();
        run.variables.hash(&mut hasher);
        let key = (self.tree.id(path)?, run.subject, hasher.finish());
        if let Some(does) = self.known.borrow().get(&key) {
            return Some(does.clone());
        }
        if run.depth >= DEPTH {
            return unclear(format!("{shown} is called through more than {DEPTH} other scripts"));
        }
        if self.files.get() >= FILES {
            return unclear(format!(
                "{shown} is not examined, because more than {FILES} scripts are called"
            ));
        }
        self.files.set(self.files.get() + 1);
        // A script that calls itself has no further effect.
        self.known.borrow_mut().insert(key, Does::Else);
        let run = Run { depth: run.depth + 1, ..run };
        let does = match content {
            Content::Text(text) => self.script(path, &text, run),
            Content::Binary(file) => {
                self.searched(path, opaque::search_program(&file).map(opaque::Signs::said), run)
            }
            _ => Does::Else,
        };
        self.known.borrow_mut().insert(key, does.clone());
        Some(does)
    }

    /// Follows a script in any language.
    fn script(&self, path: &Path, text: &[u8], run: Run<'_>) -> Does {
        let words = String::from_utf8_lossy(text);
        let shell = match programs::interpreter(&words) {
            Some(program) => {
                programs::kind(&format!("/bin/{}", programs::base(program))) == Kind::Shell
            }
            // A script without such a line is run by a shell.
            None => true,
        };
        if shell {
            return self.text(path, text, run);
        }
        self.foreign(path, text, run)
    }

    /// Follows a script in another language than the shell's.
    pub(super) fn foreign(&self, path: &Path, text: &[u8], run: Run<'_>) -> Does {
        if let Some(hit) = script::scan(text, run.subject).first() {
            return Does::Online(Some((path.to_owned(), hit.line)));
        }
        self.searched(path, Ok(opaque::search(text).said()), run)
    }

    /// The effect of a program that was searched. A program of the distribution in which nothing was found does nothing to
    /// processors, unless it is run for them.
    fn searched(&self, path: &Path, said: std::io::Result<Option<&str>>, run: Run<'_>) -> Does {
        let shown = path.display();
        let fix = format!("check the documentation of {shown} for what it does");
        // Known agents have findings of their own, and hotadd asks all parties before it adds.
        if known_agents::is_known(path) || OURS.iter().any(|ours| path == Path::new(ours)) {
            return Does::Else;
        }
        let what = match said {
            Err(error) => format!("{shown} cannot be read: {error}"),
            Ok(Some(sign)) => format!("{shown} is a program that cannot be analysed: {sign}"),
            Ok(None) => {
                let real = self.tree.real(path);
                let real = real.as_deref().map(|real| real.to_string_lossy().into_owned());
                let known = real.is_some_and(|real| programs::is_distributions(&real));
                match run.subject {
                    Subject::Processor => {
                        format!(
                            "{shown} is run for processors and is a program that cannot be analysed"
                        )
                    }
                    _ if known => return Does::Else,
                    _ => format!(
                        "{shown} is a program that cannot be analysed, and is not in a folder of the \
                         distribution"
                    ),
                }
            }
        };
        Does::Unclear(vec![Doubt::new(what, fix)])
    }
}
