//! [`hotadd_zoo::good`] as a Windows driver.
#![no_std]

use hotadd_driver::windows_driver;
use hotadd_zoo::good::Good;

windows_driver!(|| Ok(Good::default()), *b"ZooR");
