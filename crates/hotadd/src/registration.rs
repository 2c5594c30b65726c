//! [`Registration`]: the handle of a registered driver. The driver is called while the handle exists.

use std::fmt;

use hotadd_core::Epoch;

use crate::backend::{LocalHandle, RegistrationHandle};
use crate::error::Error;
use crate::member::PartyInfo;

/// The handle of a registered driver. Dropping it deregisters the driver.
///
/// Deregistering waits until no transaction is in progress. When it returns, the driver is not running, will not be called
/// again (D1), and has been dropped. Inside a callback of the same partition it does not wait: from then on the driver is not
/// called, not even with the outcome of the add in progress (D3), and it is dropped when that add is over.
///
/// It cannot be deregistered twice:
/// ```compile_fail,E0382
/// # fn f(registration: hotadd::Registration) -> Result<(), hotadd::Error> {
/// registration.deregister()?;
/// registration.deregister()
/// # }
/// ```
#[must_use = "dropping a Registration deregisters its driver at once; keep it for as long as the driver is to be asked"]
pub struct Registration {
    handle: Handle,
    epoch: Epoch,
}

/// Two pointers for a partition in this process, which may have thousands of registrations. So the other kind is boxed twice.
enum Handle {
    Local(LocalHandle),
    #[cfg_attr(
        any(not(feature = "dbus"), hotadd_loom),
        expect(dead_code, reason = "there are no other partitions")
    )]
    Remote(Box<Box<dyn RegistrationHandle>>),
}

impl Registration {
    pub(crate) const fn local(handle: LocalHandle, epoch: Epoch) -> Self {
        Self { handle: Handle::Local(handle), epoch }
    }

    #[cfg(all(feature = "dbus", not(hotadd_loom)))]
    pub(crate) fn remote(handle: impl RegistrationHandle + 'static, epoch: Epoch) -> Self {
        Self { handle: Handle::Remote(Box::new(Box::new(handle))), epoch }
    }

    fn handle(&self) -> &dyn RegistrationHandle {
        match &self.handle {
            Handle::Local(handle) => handle,
            Handle::Remote(handle) => &***handle,
        }
    }

    /// Deregisters the driver, as dropping does, and returns whether it was still registered.
    ///
    /// # Errors
    /// [`Error::NotRegistered`] if the driver crashed earlier and was deregistered then (D2, L3).
    pub fn deregister(self) -> Result<(), Error> {
        self.handle().deregister()
    }

    /// The party's name, identity and level.
    #[must_use]
    pub fn party(&self) -> PartyInfo {
        self.handle().info()
    }

    /// The epoch of the active set at which the driver registered (Q2). The driver is told of every later change. With a replay
    /// it has been told of every processor in that set.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether the driver is still registered. False after it has crashed (L3). If the connection to the partition is lost, the
    /// result stays true: the driver is registered again when the connection returns.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        !self.handle().departed()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Fails only if the party is already deregistered; then there is nothing to do.
        let _ = self.handle().deregister();
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("party", &self.party())
            .field("registered", &self.is_registered())
            .finish()
    }
}
