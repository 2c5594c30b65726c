//! The headers against Microsoft's own metadata, which the `windows-sys` crate is made from: sizes of types, and
//! constants. (`headers.rs` compares with mingw-w64's headers, which have more and are wrong here and there.)
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[allow(dead_code, reason = "each test file uses its part")]
#[path = "headers/tools.rs"]
mod tools;

use std::fs;

use tools::{Scratch, native};

/// These assertions in C hold with our headers.
fn holds(name: &str, asserts: &[String]) {
    let scratch = Scratch::new(name);
    let source = scratch.file("metadata.c");
    fs::write(&source, format!("#include <ntifs.h>\n{}", asserts.concat())).expect("a source");
    let output = native("gcc", &format!("-fsyntax-only {}", source.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ours differ from Microsoft's metadata:\n{errors}");
}

/// The metadata knows no alignment of single members, so types that depend on it are compared with mingw-w64 only. Its
/// ERESOURCE is 8 bytes smaller than the public one; src/tests/layouts.rs holds the host to the smaller.
#[test]
fn types_have_the_sizes_of_the_metadata() {
    use windows_sys::Wdk::Foundation as foundation;
    use windows_sys::Wdk::System::SystemServices as services;

    macro_rules! sizes {
        ($($module:ident::$name:ident)*) => {
            [$(format!(
                "_Static_assert(sizeof({0}) == {1}, \"{0} has {1} bytes\");\n",
                stringify!($name),
                size_of::<$module::$name>()
            )),*]
        };
    }
    let sizes = sizes! {
        foundation::DRIVER_OBJECT foundation::FAST_MUTEX foundation::FILE_OBJECT foundation::KDEVICE_QUEUE
        foundation::KDPC foundation::KMUTANT foundation::KWAIT_BLOCK foundation::MDL foundation::OBJECT_ATTRIBUTES
        foundation::WORK_QUEUE_ITEM
        services::DEVICE_CAPABILITIES services::DEVICE_INTERFACE_CHANGE_NOTIFICATION services::DEVICE_RELATIONS
        services::IMAGE_INFO services::INTERFACE services::KBUGCHECK_CALLBACK_RECORD services::KEY_VALUE_FULL_INFORMATION
        services::KEY_VALUE_PARTIAL_INFORMATION services::KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT services::KSEMAPHORE
        services::KTIMER services::PHYSICAL_MEMORY_RANGE services::PLUGPLAY_NOTIFICATION_HEADER
        services::POOL_EXTENDED_PARAMETER services::POWER_SEQUENCE services::RTL_QUERY_REGISTRY_TABLE services::SHARE_ACCESS
        services::TIME_FIELDS
    };
    holds("sizes", &sizes);
}

#[test]
fn constants_have_the_values_of_the_metadata() {
    use windows_sys::Wdk::Storage::FileSystem as file_system;
    use windows_sys::Wdk::System::SystemServices as services;
    use windows_sys::Win32::Foundation as win32;
    use windows_sys::Win32::System::Diagnostics::Debug as debug;

    macro_rules! values {
        ($($module:ident::$name:ident)*) => {
            [$(format!(
                "_Static_assert((unsigned)({0}) == {1}u, \"{0} is {1:#x}\");\n",
                stringify!($name),
                $module::$name as u32
            )),*]
        };
    }
    #[expect(clippy::cast_sign_loss, reason = "a status is its bits")]
    let values = values! {
        services::DISPATCH_LEVEL services::FILE_DEVICE_SECURE_OPEN services::FO_SYNCHRONOUS_IO services::IRP_MJ_PNP
        services::IRP_MN_QUERY_CAPABILITIES services::IRP_MN_QUERY_INTERFACE services::IRP_MN_QUERY_POWER
        services::IRP_MN_SET_POWER services::IRP_MN_SURPRISE_REMOVAL services::KE_PROCESSOR_CHANGE_ADD_EXISTING
        services::PASSIVE_LEVEL services::RTL_QUERY_REGISTRY_DIRECT services::SL_PENDING_RETURNED
        file_system::DO_BUFFERED_IO file_system::DO_DEVICE_INITIALIZING file_system::DO_POWER_PAGABLE
        file_system::IO_DISK_INCREMENT debug::IMPERSONATING_WORKER_THREAD
        win32::STATUS_DEVICE_BUSY win32::STATUS_GRAPHICS_DRIVER_MISMATCH win32::STATUS_NO_MEMORY
        win32::STATUS_PKU2U_CERT_FAILURE win32::STATUS_RXACT_INVALID_STATE win32::STATUS_VOLUME_MOUNTED
    };
    holds("values", &values);
}
