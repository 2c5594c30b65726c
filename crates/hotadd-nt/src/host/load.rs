//! [`Driver`]: a driver from loading its file to its unloading (L1, L2, D4).

use std::fmt;
use std::time::Duration;

use hotadd::Status;

use crate::faults;
use crate::ground::driver_object::Object;
use crate::ground::fault::Fault;
use crate::ground::foreign::Out;
use crate::ground::images::Image;
use crate::ground::probe;
use crate::ground::routine::Routine;
use crate::ground::rule::Rule;
use crate::ground::world;
use crate::host::unload_report::{self, UnloadReport};
use crate::kernel::ex::callbacks;
use crate::kernel::exports::SERVICES;
use crate::kernel::io::{devices, reinit};
use crate::kernel::ke::change;
use crate::loaders::file::{File, Kind};
use crate::loaders::native::{self, Native};
use crate::loaders::pe::{self, FileError, Inspection};

/// How much longer an unload may take for each processor.
const EACH: Duration = Duration::from_millis(10);

/// How a driver is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Refuses a driver if an import is not provided. Otherwise calling such an import is a fault.
    pub strict: bool,
}

/// A driver in memory.
pub struct Driver {
    name: String,
    entry: Routine,
    object: Object,
    begun: bool,
    // Declared last, so that it is dropped after everything that lies in it.
    code: Code,
}

/// What keeps a driver's code in memory.
enum Code {
    Native(Box<Native>),
    Sys(#[expect(dead_code, reason = "held, and let go at the end")] Box<pe::Loaded>),
}

impl Code {
    /// Runs a native driver's constructors, before its DriverEntry.
    fn construct(&self) {
        if let Self::Native(native) = self {
            native.construct();
        }
    }

    /// Runs a native driver's destructors, after its unload.
    fn destruct(&self) {
        if let Self::Native(native) = self {
            native.destruct();
        }
    }
}

/// Why a driver was not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DriverEntry returned {}", plainly(*.0))]
pub struct EntryError(pub Status);

/// A driver cannot be unloaded: it remains until its process ends (L2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot be unloaded, because it did not set DriverUnload (L2)")]
pub struct CannotUnload;

impl File {
    /// Inspects the file without loading it.
    ///
    /// # Errors
    /// The file is not a driver, or cannot be loaded here. The error says what it is.
    pub fn inspect(&self) -> Result<Inspection, FileError> {
        match self.kind() {
            Kind::Sys => pe::inspect(&self.bytes, &SERVICES),
            Kind::Native => native::inspect(&self.bytes, &SERVICES),
        }
    }

    /// Loads the driver into memory and binds its imports. None of its own code runs yet.
    ///
    /// # Errors
    /// The driver cannot be loaded here. The error says why.
    pub fn load(&self, options: Options) -> Result<Driver, FileError> {
        match self.kind() {
            Kind::Sys => {
                let loaded = pe::load(&self.bytes, &self.name, options.strict, &SERVICES)?;
                let (entry, image) = (loaded.entry(), loaded.image());
                Ok(Driver::new(&self.name, image, entry, Code::Sys(Box::new(loaded))))
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

    /// The name of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls its DriverEntry once (L1), after a native driver's constructors. The [`World`](crate::World) must have
    /// begun.
    ///
    /// # Errors
    /// The status with which DriverEntry refused. The driver is then removed: its registrations are deregistered, and
    /// its Unload is not called.
    pub fn begin(mut self) -> Result<Self, EntryError> {
        let arguments = [self.object.driver() as usize, self.object.registry_path() as usize, 0, 0];
        self.begun = true;
        // DriverEntry may register, and then the driver is called twice for every active processor.
        let limit = world::get().time_limit * (1 + 2 * world::get().partition.count());
        let status = faults::watch(limit, || {
            self.code.construct();
            // SAFETY: the entry was found under the name of a DRIVER_INITIALIZE, and the arguments are what it
            // expects; both live as long as the driver.
            unsafe { self.entry.call(arguments) }
        });
        // The upper half of the register is not part of the status.
        let status = Status::from_raw(status as u32);
        if !status.is_error() {
            // Runs the work that the driver postponed until it is loaded.
            // SAFETY: it is the driver's object, which lives as long as `self`.
            let driver = unsafe { Out::new(self.object.driver()) };
            devices::initialized(driver);
            reinit::run(driver);
            return Ok(self);
        }
        self.stopped("DriverEntry failed");
        let report = UnloadReport::by(&self.object);
        let breach = |rule: Rule, what: String| world::get().breach(rule, what);
        if let Some(mess) = report.mess() {
            let rule = if report.registrations > 0 {
                Rule::NotDeregistered
            } else {
                Rule::LeakAfterRefusedLoad
            };
            breach(rule, format!("DriverEntry failed and left {mess}; deregistered (L1)"));
        }
        // A verifier reports each block.
        if report.pool.total.blocks > 0 && probe::get().is_none() {
            breach(Rule::LeakAfterRefusedLoad, format!("DriverEntry failed: {}", report.pool));
        }
        Err(EntryError(status))
    }

    /// Unloads the driver: calls its DriverUnload, and cleans up what that leaves (D4).
    ///
    /// # Errors
    /// Returns the driver if it cannot be unloaded.
    pub fn unload(self) -> Result<UnloadReport, (Self, CannotUnload)> {
        let Some(unload) = self.object.unload() else { return Err((self, CannotUnload)) };
        // It may have something to end for every processor.
        let world = world::get();
        let limit = world.time_limit + EACH * world.partition.count();
        faults::watch(limit, || {
            // SAFETY: the driver has put a DRIVER_UNLOAD into this field, and the argument is what it expects.
            unsafe { unload.call([self.object.driver() as usize, 0, 0, 0]) }
        });
        self.stopped("unloaded");
        let report = UnloadReport::by(&self.object);
        if let Some(mess) = report.mess() {
            let rule = if report.registrations > 0 {
                Rule::NotDeregistered
            } else {
                Rule::LeakAfterUnload
            };
            world::get().breach(rule, format!("unloaded with {mess}; deregistered (D4)"));
        }
        Ok(report)
    }

    /// Ends the process if code of the driver is still to run: it would run into unmapped memory once the driver is
    /// gone. Windows stops the system.
    fn stopped(&self, when: &str) {
        if let Some(running) = unload_report::running() {
            let what = format!("{when} with {running} still pending");
            let fault = Fault::new(Status::DRIVER_INTERNAL_ERROR, what, self.entry.address());
            fault.of(Rule::Running).raise();
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.begun {
            // After this nothing can call into the code that is about to be unmapped.
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
