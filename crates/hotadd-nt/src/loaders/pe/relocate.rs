//! Relocations: correct the addresses in an image that is not at its preferred address.

use object::pe;
use object::read::pe::RelocationBlockIterator;

use super::error::FileError;
use super::headers::Headers;

const MOST: usize = 1 << 20;

fn damaged(what: impl Into<String>) -> FileError {
    FileError::Damaged(what.into())
}

/// Checks an image's relocations. Returns the offsets of the addresses to correct, each eight bytes inside the
/// image.
pub(super) fn places(headers: &Headers, image: &[u8]) -> Result<Vec<usize>, FileError> {
    let mut places = Vec::new();
    let Some((start, size)) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC) else {
        return Ok(places);
    };
    let mut blocks = RelocationBlockIterator::new(&image[start..start + size]);
    let bad = |error: object::Error| damaged(format!("its relocations: {error}"));
    while let Some(block) = blocks.next().map_err(bad)? {
        for relocation in block {
            let place = relocation.virtual_address as usize;
            match relocation.typ {
                pe::IMAGE_REL_BASED_ABSOLUTE => continue,
                pe::IMAGE_REL_BASED_DIR64 => {}
                other => {
                    let what = format!("a relocation of type {} at {place:#x}", name(other));
                    return Err(FileError::Unsupported(what));
                }
            }
            if place > image.len().saturating_sub(8) {
                return Err(damaged(format!(
                    "a relocation at {place:#x}, after the end of the image"
                )));
            }
            if places.len() == MOST {
                return Err(FileError::TooLarge(format!("more than {MOST} relocations")));
            }
            places.push(place);
        }
    }
    Ok(places)
}

/// Corrects an image that prefers the address `from` and is at `to`.
pub(super) fn apply(places: &[usize], image: &mut [u8], from: u64, to: u64) {
    for place in places {
        let Some(bytes) = image.get_mut(*place..).and_then(<[u8]>::first_chunk_mut) else {
            continue;
        };
        let address = u64::from_le_bytes(*bytes).wrapping_sub(from).wrapping_add(to);
        *bytes = address.to_le_bytes();
    }
}

fn name(kind: pe::BaseRelocationType) -> String {
    match kind {
        pe::IMAGE_REL_BASED_HIGH => "HIGH".into(),
        pe::IMAGE_REL_BASED_LOW => "LOW".into(),
        pe::IMAGE_REL_BASED_HIGHLOW => "HIGHLOW".into(),
        pe::IMAGE_REL_BASED_HIGHADJ => "HIGHADJ".into(),
        other => other.0.to_string(),
    }
}
