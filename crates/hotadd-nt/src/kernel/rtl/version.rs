//! The reported Windows version: 10, version 22H2, build 19045, a workstation. Drivers select the functions that they
//! call by it, and the provided functions are those of that version.

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::{Boolean, NtStatus, UnicodeString, nt_status};

const MAJOR: u32 = 10;
const MINOR: u32 = 0;
pub(crate) const BUILD: u32 = 19045;
/// `VER_PLATFORM_WIN32_NT`.
const PLATFORM: u32 = 2;
/// `VER_NT_WORKSTATION`.
const WORKSTATION: u8 = 1;

/// `RTL_OSVERSIONINFOW`, which is the beginning of `RTL_OSVERSIONINFOEXW`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct VersionInfo {
    size: u32,
    major: u32,
    minor: u32,
    build: u32,
    platform: u32,
    service_pack: [u16; 128],
}

/// The rest of `RTL_OSVERSIONINFOEXW`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Extension {
    service_pack_major: u16,
    service_pack_minor: u16,
    suite: u16,
    product: u8,
    reserved: u8,
}

const _: () = assert!(size_of::<VersionInfo>() == 276);
const _: () = assert!(size_of::<Extension>() == 8);

nt! {
    /// The version of Windows.
    fn RtlGetVersion(info: Out<VersionInfo>) -> NtStatus { nt_status(version(info)) }

    /// Whether this version of Windows meets conditions.
    fn RtlVerifyVersionInfo(info: In<VersionInfo>, kinds: u32, conditions: u64) -> NtStatus {
        nt_status(verify(info, kinds, conditions))
    }

    /// Adds a condition to a condition mask.
    fn VerSetConditionMask(conditions: u64, kind: u32, condition: u8) -> u64 {
        with_condition(conditions, kind, condition)
    }

    /// The version of Windows, by the old function. It is not a checked build.
    fn PsGetVersion(
        major: Out<u32>, minor: Out<u32>, build: Out<u32>, service_pack: Out<UnicodeString>,
    ) -> Boolean {
        old_version(major, minor, build, service_pack)
    }
}

fn version(to: Out<VersionInfo>) -> Status {
    // The caller sets the size, which identifies the structure.
    let size = to.get().size;
    to.put(VersionInfo {
        size,
        major: MAJOR,
        minor: MINOR,
        build: BUILD,
        platform: PLATFORM,
        service_pack: [0; 128],
    });
    if size as usize >= size_of::<VersionInfo>() + size_of::<Extension>() {
        // The caller's size states that this part exists.
        to.skip(1).cast().put(Extension {
            service_pack_major: 0,
            service_pack_minor: 0,
            suite: 0,
            product: WORKSTATION,
            reserved: 0,
        });
    }
    Status::SUCCESS
}

/// The kinds of `RtlVerifyVersionInfo`, by bit: 0 minor, 1 major, 2 build, 3 platform, 4 and 5 service pack, 6 suite, 7
/// product. Three bits of the mask belong to each.
fn verify(info: In<VersionInfo>, kinds: u32, conditions: u64) -> Status {
    /// `STATUS_REVISION_MISMATCH`
    const MISMATCH: Status = Status::from_raw(0xC000_0059);
    let wanted = info.get();
    let rest = if kinds & 0xf0 == 0 {
        Extension {
            service_pack_major: 0,
            service_pack_minor: 0,
            suite: 0,
            product: 0,
            reserved: 0,
        }
    } else {
        info.skip(1).cast::<Extension>().get()
    };
    if kinds == 0 || kinds & !0xff != 0 {
        return Status::INVALID_PARAMETER;
    }
    let condition = |kind: u32| conditions >> (3 * kind) & 7;
    // Major, minor and service pack are compared as one number, by the condition of the first of them that is
    // requested.
    let parts = [
        (1, MAJOR, wanted.major),
        (0, MINOR, wanted.minor),
        (5, 0, u32::from(rest.service_pack_major)),
        (4, 0, u32::from(rest.service_pack_minor)),
    ];
    let asked = parts.iter().filter(|(kind, ..)| kinds & 1 << kind != 0);
    let (ours, theirs): (Vec<u32>, Vec<u32>) = asked.clone().map(|(_, a, b)| (a, b)).unzip();
    if let Some((kind, ..)) = asked.clone().next()
        && !holds(ours.cmp(&theirs), condition(*kind))
    {
        return MISMATCH;
    }
    let single = [
        (2, BUILD, wanted.build),
        (3, PLATFORM, wanted.platform),
        (7, u32::from(WORKSTATION), u32::from(rest.product)),
    ];
    for (kind, ours, theirs) in single {
        if kinds & 1 << kind != 0 && !holds(ours.cmp(&theirs), condition(kind)) {
            return MISMATCH;
        }
    }
    // This version belongs to no suite.
    if kinds & 1 << 6 != 0 && rest.suite != 0 {
        return MISMATCH;
    }
    Status::SUCCESS
}

/// The conditions `VER_EQUAL` and so on.
fn holds(order: std::cmp::Ordering, condition: u64) -> bool {
    match condition {
        1 => order.is_eq(),
        2 => order.is_gt(),
        3 => order.is_ge(),
        4 => order.is_lt(),
        5 => order.is_le(),
        _ => false,
    }
}

fn with_condition(conditions: u64, kind: u32, condition: u8) -> u64 {
    let bits = (0..8).filter(|bit| kind & 1 << bit != 0);
    bits.fold(conditions, |mask, bit| mask | u64::from(condition & 7) << (3 * bit))
}

fn old_version(
    major: Out<u32>,
    minor: Out<u32>,
    build: Out<u32>,
    service_pack: Out<UnicodeString>,
) -> Boolean {
    major.put_if_wanted(MAJOR);
    minor.put_if_wanted(MINOR);
    build.put_if_wanted(BUILD);
    service_pack.put_if_wanted(UnicodeString::EMPTY);
    0
}
