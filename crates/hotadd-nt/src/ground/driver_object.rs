//! [`Object`]: what a driver receives at its start: its `DRIVER_OBJECT`, and the registry path of its settings.

use std::ffi::c_void;
use std::mem::{offset_of, size_of};
use std::ptr::{self, NonNull};

use crate::ground::images::Image;
use crate::ground::routine::Routine;
use crate::ground::types::{DriverObject, UnicodeString};

/// `IO_TYPE_DRIVER`.
const IO_TYPE_DRIVER: i16 = 4;

/// `DRIVER_EXTENSION`, as far as it is documented.
#[repr(C)]
struct DriverExtension {
    driver_object: *mut DriverObject,
    add_device: *const c_void,
    count: u32,
    service_key_name: UnicodeString,
}

const _: () = assert!(offset_of!(DriverExtension, service_key_name) == 0x18);

/// A driver's object, and everything it refers to. The driver may change it, so no reference to it is ever made.
pub(crate) struct Object(NonNull<Parts>);

// SAFETY: it is an address, and one thread at a time reads and writes the parts of it that are used.
unsafe impl Send for Object {}

struct Parts {
    driver: DriverObject,
    extension: DriverExtension,
    hardware: UnicodeString,
    registry_path: UnicodeString,
    /// The contents of the strings.
    _texts: [Box<[u16]>; 4],
}

impl Object {
    /// The object of a driver that has not started. `service` is its Windows service name: the file's name without
    /// its extension.
    pub(crate) fn new(service: &str, image: &Image, entry: Routine) -> Self {
        let text = |text: String| text.encode_utf16().collect::<Box<[u16]>>();
        let mut texts = [
            text(format!("\\Driver\\{service}")),
            text(format!("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{service}")),
            text("\\REGISTRY\\MACHINE\\HARDWARE\\DESCRIPTION\\SYSTEM".to_owned()),
            text(service.to_owned()),
        ];
        let [name, path, hardware, key] = texts.each_mut().map(|text| string(text));
        let refuse = (image.services.refuse)(image.abi);
        let driver = DriverObject {
            kind: IO_TYPE_DRIVER,
            size: i16::try_from(size_of::<DriverObject>()).unwrap_or(i16::MAX),
            device_object: ptr::null_mut(),
            flags: 0,
            driver_start: ptr::without_provenance_mut(image.base),
            driver_size: u32::try_from(image.size).unwrap_or(u32::MAX),
            driver_section: ptr::null_mut(),
            driver_extension: ptr::null_mut(),
            driver_name: name,
            hardware_database: ptr::null_mut(),
            fast_io_dispatch: ptr::null_mut(),
            driver_init: ptr::without_provenance_mut(entry.address()),
            driver_start_io: ptr::null_mut(),
            driver_unload: ptr::null(),
            major_function: [refuse; 28],
        };
        let extension = DriverExtension {
            driver_object: ptr::null_mut(),
            add_device: ptr::null(),
            count: 0,
            service_key_name: key,
        };
        let parts = Parts { driver, extension, hardware, registry_path: path, _texts: texts };
        let parts = NonNull::from(Box::leak(Box::new(parts)));
        let at = parts.as_ptr();
        // SAFETY: it was made above, and nothing else has its address yet.
        let parts_mut = unsafe { &mut *at };
        parts_mut.driver.driver_extension = (&raw mut parts_mut.extension).cast();
        parts_mut.driver.hardware_database = &raw mut parts_mut.hardware;
        parts_mut.extension.driver_object = &raw mut parts_mut.driver;
        Self(parts)
    }

    /// The `DRIVER_OBJECT`.
    pub(crate) fn driver(&self) -> *mut DriverObject {
        // SAFETY: the place is within what `new` has leaked, and only its address is taken.
        unsafe { &raw mut (*self.0.as_ptr()).driver }
    }

    /// The registry path.
    pub(crate) fn registry_path(&self) -> *mut UnicodeString {
        // SAFETY: the place is within what `new` has leaked, and only its address is taken.
        unsafe { &raw mut (*self.0.as_ptr()).registry_path }
    }

    /// The driver's unload function.
    pub(crate) fn unload(&self) -> Option<Routine> {
        // SAFETY: it is a field of a structure that lives as long as `self`. The driver has returned.
        Routine::new(unsafe { (*self.driver()).driver_unload })
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: `new` leaked it, and it is freed once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

fn string(text: &mut [u16]) -> UnicodeString {
    let length = u16::try_from(text.len() * 2).unwrap_or(0xfffe);
    UnicodeString { length, maximum_length: length, buffer: text.as_mut_ptr() }
}
