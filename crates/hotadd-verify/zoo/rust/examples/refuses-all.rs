//! [`hotadd_zoo::refuses_all`] as a Windows driver.
#![no_std]

use hotadd_driver::windows_driver;
use hotadd_zoo::refuses_all::RefusesAll;

windows_driver!(|| Ok(RefusesAll::default()), *b"ZooR");
