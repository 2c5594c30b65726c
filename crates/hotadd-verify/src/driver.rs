//! Verifying in a driver's own tests: a Rust [`Driver`] by [`verify_driver`], and a built file by [`Verifier::verify_file`].
//!
//! ```
//! use hotadd::{Driver, Notice, Veto};
//! use hotadd_verify::driver::verify_driver;
//!
//! /// One block of memory for each processor.
//! #[derive(Default)]
//! struct Blocks(Vec<Vec<u8>>);
//!
//! impl Driver for Blocks {
//!     fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
//!         let mut block = Vec::new();
//!         block.try_reserve_exact(4096)?;
//!         let at = notice.processor().index.as_usize();
//!         if self.0.len() <= at {
//!             self.0.resize_with(at + 1, Vec::new);
//!         }
//!         self.0[at] = block;
//!         Ok(())
//!     }
//!
//!     fn add_failure(&mut self, notice: &Notice) {
//!         self.0[notice.processor().index.as_usize()] = Vec::new();
//!     }
//! }
//!
//! // In a function with #[test]:
//! verify_driver(Blocks::default).assert_clean();
//! ```

use std::sync::Arc;
use std::time::Duration;

use hotadd::{Driver, Partition};

use crate::party::{self, NoSuchPartyScenario, Outstanding, PartyOptions, Start, verify_party};
use crate::report::Report;
use crate::scenario::Depth;

/// The name under which a Rust driver registers.
const NAME: &str = "driver";

/// Verifies a Rust driver at the normal depth. `make` makes a driver each time one is registered.
///
/// The driver runs in this process. It is found if it panics, and if a call takes longer than 2 s. A driver that never returns
/// leaves a thread behind.
#[must_use = "the report says what is wrong"]
pub fn verify_driver<D: Driver + Send + 'static>(
    make: impl Fn() -> D + Send + Sync + 'static,
) -> Report {
    let verifier = Verifier::new();
    party::verify_all(&short_name::<D>(), &verifier.options, &starts(make))
}

/// Verifies drivers, with options.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use hotadd::{Driver, Notice, Veto};
/// use hotadd_verify::Depth;
/// use hotadd_verify::driver::Verifier;
///
/// static ENTRIES: AtomicU64 = AtomicU64::new(0);
///
/// struct Forgets;
///
/// impl Driver for Forgets {
///     fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
///         ENTRIES.fetch_add(1, Ordering::Relaxed);
///         Ok(())
///     }
///     // add_failure is missing: the entry stays.
/// }
///
/// let verifier = Verifier::new().depth(Depth::Quick).outstanding(|| ENTRIES.load(Ordering::Relaxed));
/// let report = verifier.verify_driver(|| Forgets)?;
/// assert!(report.findings.iter().any(|finding| finding.check.id == "leak-after-failure"));
/// # Ok::<(), hotadd_verify::party::NoSuchPartyScenario>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is verified until a method whose name begins with verify is called"]
pub struct Verifier {
    options: PartyOptions,
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    hotadd: std::ffi::OsString,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// A verifier with the normal depth, the seed 1 and a time limit of 2 s.
    pub fn new() -> Self {
        Self {
            options: PartyOptions::default(),
            #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
            hotadd: "hotadd".into(),
        }
    }

    /// Sets how much is tried.
    pub fn depth(mut self, depth: Depth) -> Self {
        self.options.depth = depth;
        self
    }

    /// Plays only this scenario, by its name in a report.
    pub fn scenario(mut self, name: &str) -> Self {
        self.options.scenario = Some(name.to_owned());
        self
    }

    /// Sets the seed of everything that is chosen at random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = seed;
        self
    }

    /// Sets how long a call of the driver may take.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.options.time_limit = limit;
        self
    }

    /// Counts what the driver keeps: entries of a table, blocks, handles. What it keeps must not grow in equal rounds: when
    /// processors do not join, when it refuses some, and when it is registered and deregistered.
    ///
    /// The count may be that of all live allocations of the process: during the compared rounds the verifier keeps nothing. Then no
    /// other thread may allocate meanwhile, such as another test.
    ///
    /// Has no effect on files, for which the verifier counts itself.
    pub fn outstanding(mut self, count: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let count: Outstanding = Arc::new(count);
        self.options.outstanding = Some(count);
        self
    }

    /// Verifies a Rust driver. `make` makes a driver each time one is registered.
    ///
    /// # Errors
    /// There is no scenario of the name that was set.
    pub fn verify_driver<D: Driver + Send + 'static>(
        &self,
        make: impl Fn() -> D + Send + Sync + 'static,
    ) -> Result<Report, NoSuchPartyScenario> {
        verify_party(&short_name::<D>(), &self.options, &starts(make), |_| ())
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod files {
    use std::ffi::OsString;
    use std::path::Path;

    use super::Verifier;
    use crate::report::Report;
    use crate::verifier::{Options, VerifyError, verify};

    impl Verifier {
        /// Sets the path of the program `hotadd`. It plays the scenarios of files, each in a process of its own, and must be of the
        /// same version as this crate. Without this, `hotadd` is looked for in `PATH`.
        pub fn with_command(mut self, hotadd: impl Into<OsString>) -> Self {
            self.hotadd = hotadd.into();
            self
        }

        /// Verifies a driver's file, `.sys` or `.so`, as `hotadd verify` does.
        ///
        /// # Errors
        /// There is no scenario of the name that was set, or `hotadd` cannot be started. If the file is no driver, the report says
        /// so in each scenario.
        pub fn verify_file(&self, file: impl AsRef<Path>) -> Result<Report, VerifyError> {
            let file = file.as_ref();
            let options = Options {
                stage: vec![self.hotadd.clone(), "verify-stage".into()],
                depth: self.options.depth,
                scenario: self.options.scenario.clone(),
                seed: self.options.seed,
                time_limit: self.options.time_limit,
                side_by_side: std::thread::available_parallelism().map_or(1, usize::from),
                command: format!("hotadd verify {}", file.display()),
            };
            verify(file, &options, |_| ())
        }
    }
}

/// Registers a driver that `make` makes.
fn starts<D: Driver + Send + 'static>(make: impl Fn() -> D + Send + Sync + 'static) -> Start {
    Arc::new(move |partition: &Partition| {
        let registered = partition.register(NAME, make()).map_err(|error| error.to_string())?;
        Ok(Box::new(registered) as _)
    })
}

/// The name of a type without its modules.
fn short_name<D>() -> String {
    let name = std::any::type_name::<D>();
    let bare = name.split('<').next().unwrap_or(name);
    bare.rsplit("::").next().unwrap_or(bare).to_owned()
}
