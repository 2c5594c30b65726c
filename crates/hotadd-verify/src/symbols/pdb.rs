//! [`Pdb`]: lines from the PDB beside a Windows driver.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use pdb_addr2line::pdb::{self, Source, SourceSlice, SourceView};
use pdb_addr2line::{Context, ContextPdbData, TypeFormatterFlags};

use super::image::{Identity, Image};
use super::path::{self, Separators};
use super::{Location, read};

/// What a frame of a PDB is called: the function's name, without arguments and results.
const NAMES: TypeFormatterFlags = TypeFormatterFlags::NO_FUNCTION_RETURN
    .union(TypeFormatterFlags::NO_MEMBER_FUNCTION_STATIC)
    .union(TypeFormatterFlags::NAME_ONLY)
    .union(TypeFormatterFlags::NO_ARGUMENTS);

/// How many times the size of the file its streams may have together. Some streams are read several times.
const TIMES: u64 = 8;

/// Lines from here on mark code that is of no line.
const NO_LINE: u32 = 0xf0_0000;

/// The PDB of a driver.
pub(super) struct Pdb {
    streams: Streams,
    /// The folder to which names of files are relative.
    folder: Option<PathBuf>,
}

type Data = ContextPdbData<'static, 'static, Bytes>;
type Lookup<'a> = Context<'a, 'static>;

self_cell::self_cell!(
    /// The PDB's streams, and the context that borrows from them.
    struct Streams {
        owner: Data,
        #[not_covariant]
        dependent: Lookup,
    }
);

impl fmt::Debug for Pdb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pdb").finish_non_exhaustive()
    }
}

impl Pdb {
    /// The PDB of a driver in the driver's folder: the one with the driver's name, or with the recorded name. Otherwise, if the
    /// driver was linked with one, why there is none.
    pub(super) fn beside(driver: &Path, image: &Image<'_>) -> Result<Option<Self>, String> {
        let Some(identity) = image.identity() else { return Ok(None) };
        let mut why = None;
        for path in candidates(driver, &identity) {
            let Ok(true) = path.try_exists() else { continue };
            match super::contained(|| Self::open(&path, &identity)) {
                Some(Ok(pdb)) => return Ok(Some(pdb)),
                Some(Err(error)) => why = Some((path, error)),
                None => why = Some((path, super::DAMAGED.to_owned())),
            }
        }
        let name = driver.file_name().unwrap_or_default().to_string_lossy();
        Err(match why {
            Some((path, why)) => {
                format!("{} {why}", path.file_name().unwrap_or_default().to_string_lossy())
            }
            None if identity.name.is_empty() => {
                format!("there is no PDB of {name} in its folder")
            }
            None => format!("there is no {} in the folder of {name}", identity.name),
        })
    }

    fn open(path: &Path, wanted: &Identity) -> Result<Self, String> {
        let bytes = read(path).map_err(|why| format!("cannot be read: {why}"))?;
        let damaged = |why: &dyn fmt::Display| format!("{}: {why}", super::DAMAGED);
        let mut pdb = pdb::PDB::open(Bytes::new(bytes)).map_err(|why| damaged(&why))?;
        let information = pdb.pdb_information().map_err(|why| damaged(&why))?;
        let age = pdb.debug_information().ok().and_then(|debug| debug.age());
        // Tools that change a PDB count up its own age, and leave the one that the linker wrote into both.
        let age = age.unwrap_or(information.age);
        if information.guid.to_bytes_le() != wanted.guid || age != wanted.age {
            return Err("is of another build".to_owned());
        }
        let data = Data::try_from_pdb(pdb).map_err(|why| damaged(&why))?;
        let streams = Streams::try_new(data, |data| data.make_context_with_formatter_flags(NAMES))
            .map_err(|why| damaged(&why))?;
        Ok(Self { streams, folder: std::env::current_dir().ok() })
    }

    pub(super) fn locate(&self, offset: u64) -> Option<Location> {
        let rva = u32::try_from(offset).ok()?;
        self.streams.with_dependent(|_, context| {
            let found = context.find_frames(rva).ok()??;
            // The innermost frame.
            let frame = found.frames.into_iter().next()?;
            let file = frame.file.as_deref();
            let shorten = |file| path::shorten(file, Separators::Windows, self.folder.as_deref());
            Some(Location {
                function: frame.function,
                file: file.map(shorten),
                line: frame.line.filter(|line| (1..NO_LINE).contains(line)),
            })
        })
    }
}

/// Where the PDB may be.
fn candidates(driver: &Path, identity: &Identity) -> Vec<PathBuf> {
    let mut paths = vec![driver.with_extension("pdb")];
    if !identity.name.is_empty() {
        let recorded = driver.with_file_name(&identity.name);
        if !paths.contains(&recorded) {
            paths.push(recorded);
        }
    }
    paths
}

/// The file's bytes, of which no more are given out than a few times their number: the lists of pages in a damaged file can claim
/// any number of bytes, because a page may stand in them many times.
struct Bytes {
    bytes: Vec<u8>,
    left: u64,
}

impl Bytes {
    fn new(bytes: Vec<u8>) -> Self {
        let left = (bytes.len() as u64).saturating_mul(TIMES);
        Self { bytes, left }
    }

    fn slice(&self, wanted: &SourceSlice) -> Option<&[u8]> {
        let begin = usize::try_from(wanted.offset).ok()?;
        self.bytes.get(begin..begin.checked_add(wanted.size)?)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.bytes.len())
    }
}

impl<'s> Source<'s> for Bytes {
    fn view(
        &mut self,
        slices: &[SourceSlice],
    ) -> Result<Box<dyn SourceView<'s> + Send + Sync>, io::Error> {
        let size = slices.iter().try_fold(0_u64, |sum, slice| sum.checked_add(slice.size as u64));
        let left = size.and_then(|size| self.left.checked_sub(size));
        self.left = left.ok_or_else(|| io::Error::other("its streams are larger than the file"))?;
        let mut view = Vec::new();
        for slice in slices {
            let found = self.slice(slice).ok_or(io::ErrorKind::UnexpectedEof)?;
            view.extend_from_slice(found);
        }
        Ok(Box::new(View(view)))
    }
}

struct View(Vec<u8>);

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({})", self.0.len())
    }
}

impl SourceView<'_> for View {
    fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_listed_many_times_is_not_read_without_end() {
        let mut bytes = Bytes::new(vec![7; 4096]);
        let page = SourceSlice { offset: 0, size: 4096 };
        assert_eq!(bytes.view(&[page, page]).unwrap().as_slice(), [7; 8192]);
        assert!(bytes.view(&[page; 1000]).is_err(), "4 MB of a file of 4 kB");
        let beyond = SourceSlice { offset: u64::MAX, size: usize::MAX };
        assert!(bytes.view(&[beyond]).is_err() && bytes.view(&[beyond, beyond]).is_err());
    }

    #[test]
    fn only_the_last_part_of_a_recorded_name_is_looked_for() {
        let identity = |name: &str| Identity { guid: [0; 16], age: 1, name: name.to_owned() };
        let paths = candidates(Path::new("/d/a.sys"), &identity("b.pdb"));
        assert_eq!(paths, [Path::new("/d/a.pdb"), Path::new("/d/b.pdb")]);
        assert_eq!(candidates(Path::new("/d/a.sys"), &identity("a.pdb")).len(), 1);
        assert_eq!(candidates(Path::new("/d/a.sys"), &identity("")).len(), 1);
    }
}
