//! The types whose layout drivers share with this crate. Sizes and offsets are those of the public
//! headers for x64.

use std::ffi::c_void;
use std::mem::{offset_of, size_of};

/// A Boolean of one byte.
pub(crate) type Boolean = u8;

/// An `NTSTATUS` in its C type.
pub(crate) type NtStatus = i32;

/// A status in its C type.
pub(crate) const fn nt_status(status: hotadd::Status) -> NtStatus {
    status.to_raw().cast_signed()
}

/// `PROCESSOR_NUMBER`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessorNumber {
    pub(crate) group: u16,
    pub(crate) number: u8,
    pub(crate) reserved: u8,
}

impl From<hotadd::ProcessorNumber> for ProcessorNumber {
    fn from(number: hotadd::ProcessorNumber) -> Self {
        Self { group: number.group, number: number.number, reserved: 0 }
    }
}

/// `GROUP_AFFINITY`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupAffinity {
    pub(crate) mask: u64,
    pub(crate) group: u16,
    pub(crate) reserved: [u16; 3],
}

const _: () = assert!(size_of::<GroupAffinity>() == 16);

/// `KE_PROCESSOR_CHANGE_NOTIFY_STATE`.
pub(crate) mod change_state {
    pub(crate) const START: u32 = 0;
    pub(crate) const COMPLETE: u32 = 1;
    pub(crate) const FAILURE: u32 = 2;
}

/// `KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ChangeContext {
    pub(crate) state: u32,
    pub(crate) nt_number: u32,
    pub(crate) status: NtStatus,
    pub(crate) number: ProcessorNumber,
}

const _: () = assert!(size_of::<ChangeContext>() == 16);
const _: () = assert!(offset_of!(ChangeContext, nt_number) == 4);
const _: () = assert!(offset_of!(ChangeContext, status) == 8);
const _: () = assert!(offset_of!(ChangeContext, number) == 12);

/// A counted string: lengths are in bytes, and it need not end with a zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<U> {
    pub(crate) length: u16,
    pub(crate) maximum_length: u16,
    pub(crate) buffer: *mut U,
}

/// `UNICODE_STRING`.
pub(crate) type UnicodeString = Counted<u16>;

/// `ANSI_STRING`, `STRING`, `UTF8_STRING`.
pub(crate) type AnsiString = Counted<u8>;

const _: () = assert!(size_of::<UnicodeString>() == 16);
const _: () = assert!(offset_of!(UnicodeString, buffer) == 8);

/// `DRIVER_OBJECT`.
#[repr(C)]
pub(crate) struct DriverObject {
    pub(crate) kind: i16,
    pub(crate) size: i16,
    pub(crate) device_object: *mut c_void,
    pub(crate) flags: u32,
    pub(crate) driver_start: *mut c_void,
    pub(crate) driver_size: u32,
    pub(crate) driver_section: *mut c_void,
    pub(crate) driver_extension: *mut c_void,
    pub(crate) driver_name: UnicodeString,
    pub(crate) hardware_database: *mut UnicodeString,
    pub(crate) fast_io_dispatch: *mut c_void,
    pub(crate) driver_init: *mut c_void,
    pub(crate) driver_start_io: *mut c_void,
    pub(crate) driver_unload: *const c_void,
    pub(crate) major_function: [*const c_void; 28],
}

const _: () = assert!(size_of::<DriverObject>() == 0x150);
const _: () = assert!(offset_of!(DriverObject, driver_unload) == 0x68);
const _: () = assert!(offset_of!(DriverObject, major_function) == 0x70);
