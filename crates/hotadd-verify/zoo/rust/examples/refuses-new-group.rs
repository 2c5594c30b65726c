//! [`hotadd_zoo::refuses_new_group`] as a Windows driver.
#![no_std]

use hotadd_driver::windows_driver;
use hotadd_zoo::refuses_new_group::RefusesNewGroup;

windows_driver!(|| Ok(RefusesNewGroup::default()), *b"ZooR");
