//! The contents of an initramfs: consecutive cpio archives, each plain or compressed (Documentation/driver-api/early-userspace/
//! buffer-format.rst of Linux). It is read in one pass, with limits; only udev rules and scripts are kept.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The most bytes that are unpacked from one image.
const LARGEST: u64 = 1 << 30;
/// The most files in one image.
const FILES: usize = 100_000;
/// The most bytes of a file that is kept, and the most files that are kept.
const KEPT: usize = 1 << 20;
const MEMBERS: usize = 4000;
const NAME: usize = 4096;

/// A file of an image.
#[derive(Debug)]
pub(super) struct Member {
    /// The path from the image's root.
    pub(super) path: PathBuf,
    pub(super) text: Vec<u8>,
}

/// What has been read, and how much more may be.
struct Unpacking {
    members: Vec<Member>,
    files: usize,
    bytes: u64,
}

/// The rules and scripts of an image, or why it cannot be read.
pub(super) fn members(file: &File) -> Result<Vec<Member>, String> {
    unpack(BufReader::with_capacity(1 << 16, file), LARGEST)
}

/// Like [`members`], for an image in memory.
pub(super) fn members_of(image: &[u8]) -> Result<Vec<Member>, String> {
    unpack(image, LARGEST)
}

fn unpack(mut image: impl BufRead, most: u64) -> Result<Vec<Member>, String> {
    let mut unpacking = Unpacking { members: Vec::new(), files: 0, bytes: most };
    unpacking.archives(&mut image, true)?;
    if unpacking.files == 0 {
        return Err("it contains no archive".to_owned());
    }
    Ok(unpacking.members)
}

impl Unpacking {
    /// Reads archives up to the end. With `packed` they may be compressed.
    fn archives(&mut self, image: &mut dyn BufRead, packed: bool) -> Result<(), String> {
        loop {
            self.pass_zeros(image)?;
            let head = image.fill_buf().map_err(|error| failed(&error))?;
            match head {
                [] => return Ok(()),
                [b'0', ..] => self.archive(image)?,
                [0x1f, 0x8b, ..] if packed => {
                    let unpacked = flate2::bufread::GzDecoder::new(&mut *image);
                    self.archives(&mut BufReader::new(unpacked), false)?;
                }
                [0x28, 0xb5, 0x2f, 0xfd, ..] if packed => {
                    let unpacked = ruzstd::decoding::StreamingDecoder::new(&mut *image)
                        .map_err(|error| format!("its zstd compression is corrupt: {error}"))?;
                    self.archives(&mut BufReader::new(unpacked), false)?;
                }
                [0xfd, b'7', b'z', ..] => {
                    return Err("it is compressed with xz, which is not supported".to_owned());
                }
                [0x02, 0x21, 0x4c, 0x18, ..] => {
                    return Err("it is compressed with lz4, which is not \
                 supported"
                        .to_owned());
                }
                [0x5d, 0, ..] => {
                    return Err("it is compressed with lzma, which is not supported".to_owned());
                }
                [b'B', b'Z', b'h', ..] => {
                    return Err("it is compressed with bzip2, which is not supported".to_owned());
                }
                [0x89, b'L', b'Z', b'O', ..] => {
                    return Err("it is compressed with lzo, which is not \
                 supported"
                        .to_owned());
                }
                [b'M', b'Z', ..] => {
                    return Err("it is a unified kernel image, which is not supported".to_owned());
                }
                _ => return Err("its format is unknown".to_owned()),
            }
        }
    }

    /// Reads one archive up to its end.
    fn archive(&mut self, image: &mut dyn BufRead) -> Result<(), String> {
        loop {
            let mut head = [0; 110];
            self.take(image, &mut head)?;
            if !head.starts_with(b"070701") && !head.starts_with(b"070702") {
                return Err("its archive has another format than newc".to_owned());
            }
            let field = |at: usize| -> Result<usize, String> {
                let text = &head[6 + at * 8..14 + at * 8];
                let text = std::str::from_utf8(text).unwrap_or_default();
                let number = u32::from_str_radix(text, 16)
                    .map_err(|_| "its archive is corrupt".to_owned())?;
                Ok(number as usize)
            };
            let (mode, size, length) = (field(1)?, field(6)?, field(11)?);
            if length == 0 || length > NAME {
                return Err("its archive is corrupt".to_owned());
            }
            let mut name = vec![0; length];
            self.take(image, &mut name)?;
            self.pass(image, padding(110 + length))?;
            name.pop();
            if name == b"TRAILER!!!" {
                return Ok(());
            }
            self.files += 1;
            if self.files > FILES {
                return Err(format!("it has more than {FILES} files"));
            }
            let path = Path::new("/").join(
                String::from_utf8_lossy(&name).trim_start_matches("./").trim_start_matches('/'),
            );
            let regular = mode & 0o170_000 == 0o100_000;
            let rules = path.extension().is_some_and(|extension| extension == "rules");
            if rules && regular && size > KEPT {
                return Err(format!("{} in it has more than {KEPT} bytes", path.display()));
            }
            if regular && size <= KEPT {
                let mut text = vec![0; size];
                self.take(image, &mut text)?;
                if rules
                    || text.starts_with(b"#!")
                    || path.extension().is_some_and(|extension| extension == "service")
                {
                    if self.members.len() >= MEMBERS {
                        return Err(format!("it has more than {MEMBERS} rules and scripts"));
                    }
                    self.members.push(Member { path, text });
                }
            } else {
                self.pass(image, size)?;
            }
            self.pass(image, padding(size))?;
        }
    }

    fn take(&mut self, image: &mut dyn BufRead, buffer: &mut [u8]) -> Result<(), String> {
        self.count(buffer.len())?;
        image.read_exact(buffer).map_err(|error| failed(&error))
    }

    fn pass(&mut self, image: &mut dyn BufRead, count: usize) -> Result<(), String> {
        self.count(count)?;
        let passed = io::copy(&mut image.take(count as u64), &mut io::sink())
            .map_err(|error| failed(&error))?;
        if passed < count as u64 { Err("it is truncated".to_owned()) } else { Ok(()) }
    }

    /// Skips the zeros that fill the space between archives.
    fn pass_zeros(&mut self, image: &mut dyn BufRead) -> Result<(), String> {
        loop {
            let buffer = image.fill_buf().map_err(|error| failed(&error))?;
            let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
            let all = zeros == buffer.len() && zeros > 0;
            image.consume(zeros);
            self.count(zeros)?;
            if !all {
                return Ok(());
            }
        }
    }

    fn count(&mut self, count: usize) -> Result<(), String> {
        let left = self.bytes.checked_sub(count as u64);
        self.bytes =
            left.ok_or_else(|| "its unpacked contents are larger than the limit".to_owned())?;
        Ok(())
    }
}

/// The distance to the next multiple of four.
fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

fn failed(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is truncated".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_image_that_unpacks_to_too_much_is_an_error() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&[0; 1 << 16]).unwrap();
        let packed = packed.finish().unwrap();
        let why = unpack(&packed[..], 1 << 12).unwrap_err();
        assert!(why.contains("larger than the limit"), "{why}");
        let empty = unpack(&packed[..], 1 << 17).unwrap_err();
        assert!(empty.contains("no archive"), "{empty}");
    }

    proptest! {
        #[test]
        fn any_image_is_read_without_a_panic(image in prop::collection::vec(any::<u8>(), 0..300), start in 0..4usize) {
            let starts: [&[u8]; 4] = [b"070701", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\0"];
            let _ = unpack(&[starts[start], &image[..]].concat()[..], 1 << 20);
        }

        #[test]
        fn any_archive_is_read_without_a_panic(fields in "[0-9a-f]{104}", rest in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = unpack(&[b"070701", fields.as_bytes(), &rest].concat()[..], 1 << 20);
        }
    }
}
