//! A list of processors in the kernel's form. What is parsed can be written and parsed again.
#![no_main]

use hotadd::CpuList;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(list) = text.parse::<CpuList>() {
        assert!(
            list.ids().is_sorted_by(|a, b| a < b),
            "{list} is not ascending, or names one twice"
        );
        assert_eq!(list.to_string().parse(), Ok(list), "it reads back as another");
    }
});
