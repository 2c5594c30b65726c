//! Access control: users and groups, the processes of drivers, and polkit.

pub(crate) mod authority;
pub(crate) mod peer;
pub(crate) mod policy;
pub(crate) mod polkit;
pub(crate) mod rights;
