//! [`hotadd_zoo::exhaustion_unhandled`] as a Windows driver.
#![no_std]

use hotadd_driver::windows_driver;
use hotadd_zoo::exhaustion_unhandled::ExhaustionUnhandled;

windows_driver!(|| Ok(ExhaustionUnhandled::default()), *b"ZooR");
