//! [`hotadd_zoo::bugcheck`] as a Windows driver.
#![no_std]

use hotadd_driver::windows_driver;
use hotadd_zoo::bugcheck::Bugcheck;

windows_driver!(|| Ok(Bugcheck::default()), *b"ZooR");
