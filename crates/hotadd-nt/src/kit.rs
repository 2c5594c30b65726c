//! [`write()`]: the kit with which a driver's sources are built on Linux. It has the headers, the import library, and
//! compilers and toolchains that use them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use implib::{Flavor, ImportLibrary, MachineType};
use include_dir::{Dir, include_dir};

static HEADERS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/include");
/// Every export as a module definition file, which a test compares with the list of exports.
const EXPORTS: &str = include_str!("../include/hotadd.def");
static KIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/kit");

/// The file that marks a folder as a kit. It contains the version.
const MARK: &str = "VERSION";

/// The compilers are one script, which looks at its own name.
const SCRIPT: &[u8] = include_bytes!("../kit/bin/sys-cc");
const COMPILERS: [&str; 4] = ["sys-cc", "sys-c++", "so-cc", "so-c++"];

/// Why a kit was not written.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// The folder has other files in it, which would be mixed with the kit's.
    #[error("{} exists, and is not a kit: name a new folder, or an earlier kit to replace", .0.display())]
    Occupied(PathBuf),
    /// A file or folder could not be written.
    #[error("{}: {error}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The import library could not be made.
    #[error("the import library cannot be made: {0}")]
    Library(String),
}

/// Writes the kit into a folder, which is created, or is an earlier kit.
///
/// # Errors
/// The folder has something else in it, or cannot be written. The error says which file.
pub fn write(folder: &Path) -> Result<(), KitError> {
    // An empty path names no folder, but joined with a name it would be the current folder.
    if folder.as_os_str().is_empty() {
        let error = io::ErrorKind::NotFound.into();
        return Err(KitError::Write { path: folder.to_owned(), error });
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries.count(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(KitError::Write { path: folder.to_owned(), error }),
    };
    if entries != 0 && !folder.join(MARK).is_file() {
        return Err(KitError::Occupied(folder.to_owned()));
    }
    // Written first, so that a kit that is half written can be written again.
    put(&folder.join(MARK), concat!(env!("CARGO_PKG_VERSION"), "\n").as_bytes())?;
    extract(&KIT, folder)?;
    extract(&HEADERS, &folder.join("include"))?;
    put(&folder.join("include.overlay"), overlay(folder).as_bytes())?;
    for compiler in COMPILERS {
        let path = folder.join("bin").join(compiler);
        put(&path, SCRIPT)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(|error| KitError::Write { path, error })?;
    }
    let library = library().map_err(|error| KitError::Library(error.to_string()))?;
    put(&folder.join("lib/ntoskrnl.lib"), &library)
}

/// Writes a folder of this program and all folders in it.
fn extract(from: &Dir<'_>, to: &Path) -> Result<(), KitError> {
    for file in from.files() {
        let name = file.path().file_name().expect("a file has a name");
        put(&to.join(name), file.contents())?;
    }
    for folder in from.dirs() {
        let name = folder.path().file_name().expect("a folder has a name");
        extract(folder, &to.join(name))?;
    }
    Ok(())
}

fn put(path: &Path, content: &[u8]) -> Result<(), KitError> {
    let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = parent.and_then(|()| fs::write(path, content));
    written.map_err(|error| KitError::Write { path: path.to_owned(), error })
}

/// The file that lets clang find the headers whatever the case of their names: clang's description of a virtual file system. A
/// folder that is moved afterwards keeps its headers, under their own names.
fn overlay(folder: &Path) -> String {
    fn entry(kind: &str, name: &Path, rest: &str) -> String {
        format!("{{'name':{:?},'type':'{kind}',{rest}}}", name.display().to_string())
    }
    fn contents(from: &Dir<'_>, real: &Path) -> String {
        let name = |path: &Path| path.file_name().map(PathBuf::from).unwrap_or_default();
        let files = from.files().map(|file| {
            let name = name(file.path());
            let real = real.join(&name).display().to_string();
            entry("file", &name, &format!("'external-contents':{real:?}"))
        });
        let folders = from.dirs().map(|folder| {
            let name = name(folder.path());
            entry("directory", &name, &contents(folder, &real.join(&name)))
        });
        let all: Vec<String> = files.chain(folders).collect();
        format!("'contents':[{}]", all.join(","))
    }
    // Without a real path, for whatever reason, the folder keeps the path that was given.
    let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()).join("include");
    let root = entry("directory", &real, &contents(&HEADERS, &real));
    format!("{{'version':0,'case-sensitive':'false','roots':[{root}]}}\n")
}

/// The import library for a linker.
fn library() -> Result<Vec<u8>, io::Error> {
    let library = ImportLibrary::new(EXPORTS, MachineType::AMD64, Flavor::Msvc)?;
    let mut bytes = io::Cursor::new(Vec::new());
    library.write_to(&mut bytes)?;
    Ok(bytes.into_inner())
}
