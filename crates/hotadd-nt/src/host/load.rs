//! [`Driver`]: a driver from its file to its end (L1, L2, D4).

use std::fmt;

use hotadd::Status;

use crate::faults;
use crate::ground::driver_object::Object;
use crate::ground::fault::Fault;
use crate::ground::foreign::Out;
use crate::ground::images::Image;
use crate::ground::routine::Routine;
use crate::ground::world;
use crate::host::unload_report::{self, UnloadReport};
use crate::kernel::ex::callbacks;
use crate::kernel::exports::SERVICES;
use crate::kernel::io::reinit;
use crate::kernel::ke::change;
use crate::loaders::file::{File, Kind};
use crate::loaders::native::{self, Native};
use crate::loaders::pe::{self, FileError, Inspection};

/// How a driver is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether a driver that wants what is not provided is refused. If it is not, calling it is a fault.
    pub strict: bool,
}

/// A driver in memory.
pub struct Driver {
    name: String,
    entry: Routine,
    object: Object,
    begun: bool,
    // Behind everything that lies in it.
    code: Code,
}

/// What holds a driver's code in memory.
enum Code {
    Native(Box<Native>),
    Sys(#[expect(dead_code, reason = "held, and let go at the end")] pe::Loaded),
}

impl Code {
    /// What runs before a native driver's DriverEntry.
    fn construct(&self) {
        if let Self::Native(native) = self {
            native.construct();
        }
    }

    /// What runs behind its unload.
    fn destruct(&self) {
        if let Self::Native(native) = self {
            native.destruct();
        }
    }
}

/// Why a driver is not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DriverEntry returned {}", plainly(*.0))]
pub struct EntryError(pub Status);

/// A driver cannot be unloaded: it stays until its process ends (L2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot be unloaded, because it set no DriverUnload (L2)")]
pub struct Stays;

impl File {
    /// Looks at it without loading it.
    ///
    /// # Errors
    /// If it is no driver, or none that can be loaded here, and what it is.
    pub fn inspect(&self) -> Result<Inspection, FileError> {
        match self.kind() {
            Kind::Sys => pe::inspect(&self.bytes, &SERVICES),
            Kind::Native => native::inspect(&self.bytes, &SERVICES),
        }
    }

    /// Brings the driver into memory and binds its imports. None of its own code runs yet.
    ///
    /// # Errors
    /// If it cannot be loaded here, and why.
    pub fn load(&self, options: Options) -> Result<Driver, FileError> {
        match self.kind() {
            Kind::Sys => {
                let loaded = pe::load(&self.bytes, &self.name, options.strict, &SERVICES)?;
                let (entry, image) = (loaded.entry(), loaded.image());
                Ok(Driver::new(&self.name, image, entry, Code::Sys(loaded)))
            }
            Kind::Native => {
                let native = Native::load(&self.bytes, &self.name, options.strict, &SERVICES)?;
                let (entry, image) = (native.entry(), native.image());
                Ok(Driver::new(&self.name, image, entry, Code::Native(Box::new(native))))
            }
        }
    }
}

impl Driver {
    fn new(name: &str, image: &'static Image, entry: Routine, code: Code) -> Self {
        let service = name.rsplit_once('.').map_or(name, |(service, _)| service);
        let object = Object::new(service, image, entry);
        Self { name: name.to_owned(), entry, object, begun: false, code }
    }

    /// Its file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls its DriverEntry, once (L1), and before that a native driver's constructors. The [`World`](crate::World) must have begun.
    ///
    /// # Errors
    /// The status with which it refused. It is gone then: what it registered is deregistered, and its Unload is not called.
    pub fn begin(mut self) -> Result<Self, EntryError> {
        let arguments = [self.object.driver() as usize, self.object.registry_path() as usize, 0, 0];
        self.begun = true;
        // It may register, and then it is asked twice about every active processor.
        let limit = world::get().time_limit * (1 + 2 * world::get().partition.count());
        let status = faults::watch(limit, || {
            self.code.construct();
            // SAFETY: a DRIVER_INITIALIZE, by the name under which it was found, and what it expects; both live as long as it.
            unsafe { self.entry.call(arguments) }
        });
        // The upper half of the register is not part of it.
        let status = Status::from_raw(status as u32);
        if !status.is_error() {
            // What it has put off until it is loaded.
            // SAFETY: its object, which lives as long as this.
            reinit::run(unsafe { Out::new(self.object.driver()) });
            return Ok(self);
        }
        self.stopped("DriverEntry failed");
        let report = UnloadReport::by(&self.object);
        let breach = |what: String| world::get().console.breach(&what);
        if let Some(mess) = report.mess() {
            breach(format!("DriverEntry failed and left {mess}; deregistered (L1)"));
        }
        if report.pool.total.blocks > 0 {
            breach(format!("DriverEntry failed: {}", report.pool));
        }
        Err(EntryError(status))
    }

    /// Unloads it: calls its DriverUnload, and cleans up what that leaves (D4).
    ///
    /// # Errors
    /// Gives it back if it cannot be unloaded.
    pub fn unload(self) -> Result<UnloadReport, (Self, Stays)> {
        let Some(unload) = self.object.unload() else { return Err((self, Stays)) };
        faults::watch(world::get().time_limit, || {
            // SAFETY: a DRIVER_UNLOAD by the field that the driver has put it into, and the argument that it expects.
            unsafe { unload.call([self.object.driver() as usize, 0, 0, 0]) }
        });
        self.stopped("unloaded");
        let report = UnloadReport::by(&self.object);
        if let Some(mess) = report.mess() {
            world::get().console.breach(&format!("unloaded with {mess}; deregistered (D4)"));
        }
        Ok(report)
    }

    /// What of it still runs would run into nothing once its code is gone. Windows stops the system.
    fn stopped(&self, when: &str) {
        if let Some(running) = unload_report::running() {
            let what = format!("{when} with {running} still to run");
            Fault::new(Status::DRIVER_INTERNAL_ERROR, what, self.entry.address()).raise();
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.begun {
            // Nothing may call into what is about to be gone.
            change::deregister_all();
            callbacks::unregister_all();
            faults::watch(world::get().time_limit, || self.code.destruct());
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `STATUS_NO_MEMORY (0xC0000017)`
fn plainly(status: Status) -> String {
    match status.name() {
        Some(name) => format!("{name} (0x{:08X})", status.to_raw()),
        None => format!("0x{:08X}", status.to_raw()),
    }
}
