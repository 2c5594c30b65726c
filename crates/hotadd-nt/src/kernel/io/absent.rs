//! Functions for features that are absent: the registry and power settings report errors, and tracing discards its
//! input. With these, a driver that treats the features as optional can be loaded.

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::{AnsiString, Boolean, NtStatus, UnicodeString, nt_status};

const NOT_FOUND: NtStatus = nt_status(Status::OBJECT_NAME_NOT_FOUND);
const NOT_SUPPORTED: NtStatus = nt_status(Status::NOT_SUPPORTED);
const INVALID_HANDLE: NtStatus = nt_status(Status::INVALID_HANDLE);
const SUCCESS: NtStatus = nt_status(Status::SUCCESS);

/// A `REGHANDLE` with no object behind it.
const TRACE: u64 = 1;

nt! {
    /// No key exists.
    fn ZwOpenKey(_key: Out<usize>, _access: u32, _attributes: usize) -> NtStatus { NOT_FOUND }

    /// No key exists.
    fn ZwOpenKeyEx(_key: Out<usize>, _access: u32, _attributes: usize, _options: u32) -> NtStatus {
        NOT_FOUND
    }

    /// No key can be created.
    fn ZwCreateKey(
        _key: Out<usize>, _access: u32, _attributes: usize, _title: u32, _class: In<UnicodeString>,
        _options: u32, _disposition: Out<u32>,
    ) -> NtStatus {
        nt_status(Status::ACCESS_DENIED)
    }

    /// No value exists.
    fn ZwQueryValueKey(
        _key: usize, _name: In<UnicodeString>, _class: u32, _to: Out<u8>, _length: u32, _needed: Out<u32>,
    ) -> NtStatus {
        NOT_FOUND
    }

    /// No value can be stored.
    fn ZwSetValueKey(
        _key: usize, _name: In<UnicodeString>, _title: u32, _kind: u32, _data: In<u8>, _size: u32,
    ) -> NtStatus {
        nt_status(Status::ACCESS_DENIED)
    }

    /// No key can be open, so no handle is one of a key.
    fn ZwEnumerateKey(
        _key: usize, _index: u32, _class: u32, _to: Out<u8>, _length: u32, _needed: Out<u32>,
    ) -> NtStatus {
        INVALID_HANDLE
    }

    /// As `ZwEnumerateKey`.
    fn ZwEnumerateValueKey(
        _key: usize, _index: u32, _class: u32, _to: Out<u8>, _length: u32, _needed: Out<u32>,
    ) -> NtStatus {
        INVALID_HANDLE
    }

    /// As `ZwEnumerateKey`.
    fn ZwQueryKey(_key: usize, _class: u32, _to: Out<u8>, _length: u32, _needed: Out<u32>) -> NtStatus {
        INVALID_HANDLE
    }

    /// As `ZwEnumerateKey`.
    fn ZwDeleteKey(_key: usize) -> NtStatus { INVALID_HANDLE }

    /// As `ZwEnumerateKey`.
    fn ZwDeleteValueKey(_key: usize, _name: In<UnicodeString>) -> NtStatus { INVALID_HANDLE }

    /// As `ZwEnumerateKey`.
    fn ZwFlushKey(_key: usize) -> NtStatus { INVALID_HANDLE }

    /// No value exists.
    fn RtlQueryRegistryValues(
        _relative: u32, _path: In<u16>, _table: usize, _context: usize, _environment: usize,
    ) -> NtStatus {
        NOT_FOUND
    }

    /// No key exists.
    fn RtlCheckRegistryKey(_relative: u32, _path: In<u16>) -> NtStatus { NOT_FOUND }

    /// No key exists.
    fn IoOpenDeviceRegistryKey(_device: usize, _kind: u32, _access: u32, _key: Out<usize>) -> NtStatus {
        NOT_FOUND
    }

    /// There are no power settings.
    fn PoRegisterPowerSettingCallback(
        _device: usize, _setting: usize, _callback: usize, _context: usize, _handle: Out<usize>,
    ) -> NtStatus {
        NOT_SUPPORTED
    }

    /// No callback can have been registered.
    fn PoUnregisterPowerSettingCallback(_handle: usize) -> NtStatus {
        nt_status(Status::INVALID_PARAMETER)
    }

    /// Accepted. There is never a listener.
    fn EtwRegister(_provider: usize, _enabled: usize, _context: usize, handle: Out<u64>) -> NtStatus {
        trace(handle)
    }

    /// Accepted.
    fn EtwUnregister(_handle: u64) -> NtStatus { SUCCESS }

    /// There is no listener.
    fn EtwEventEnabled(_handle: u64, _event: usize) -> Boolean { 0 }

    /// There is no listener.
    fn EtwProviderEnabled(_handle: u64, _level: u8, _keyword: u64) -> Boolean { 0 }

    /// Accepted, and discarded.
    fn EtwWrite(_handle: u64, _event: usize, _activity: usize, _count: u32, _data: usize) -> NtStatus {
        SUCCESS
    }

    /// Accepted, and discarded.
    fn EtwWriteTransfer(
        _handle: u64, _event: usize, _activity: usize, _related: usize, _count: u32, _data: usize,
    ) -> NtStatus {
        SUCCESS
    }

    /// Accepted, and discarded.
    fn EtwWriteString(_handle: u64, _level: u8, _keyword: u64, _activity: usize, _text: In<u16>) -> NtStatus {
        SUCCESS
    }

    /// Accepted.
    fn EtwSetInformation(_handle: u64, _class: u32, _information: usize, _length: u32) -> NtStatus {
        SUCCESS
    }

    /// Accepted.
    fn IoWMIRegistrationControl(_device: usize, _action: u32) -> NtStatus { SUCCESS }

    /// Accepted, and discarded, with any further arguments.
    fn WmiTraceMessage(_logger: u64, _flags: u32, _message: usize, _number: u16) -> NtStatus { SUCCESS }

    /// There is no listener.
    fn WmiQueryTraceInformation(
        _class: u32, _to: usize, _length: u32, _needed: Out<u32>, _buffer: In<AnsiString>,
    ) -> NtStatus {
        NOT_SUPPORTED
    }
}

fn trace(handle: Out<u64>) -> NtStatus {
    handle.put_if_wanted(TRACE);
    SUCCESS
}
