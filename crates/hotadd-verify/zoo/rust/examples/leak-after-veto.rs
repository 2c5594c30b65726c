//! [`hotadd_zoo::leak_after_veto`] as a Windows driver.
#![no_std]

use hotadd_driver::windows_driver;
use hotadd_zoo::leak_after_veto::LeakAfterVeto;

windows_driver!(|| Ok(LeakAfterVeto::default()), *b"ZooR");
