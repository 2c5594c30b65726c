//! [`hotadd_zoo::leak_after_failure`] as a Windows driver.
#![no_std]

use hotadd_driver::windows_driver;
use hotadd_zoo::leak_after_failure::LeakAfterFailure;

windows_driver!(|| Ok(LeakAfterFailure::default()), *b"ZooR");
