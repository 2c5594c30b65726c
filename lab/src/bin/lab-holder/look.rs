//! Samples where other processes run: looks many times, and prints how often each processor was seen.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;

/// The index of the field for the last processor in a process' stat, counted after the process's name.
const PROCESSOR: usize = 36;

/// Looks at each process this many times.
pub(crate) fn look(times: u32, processes: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut seen = BTreeMap::<u32, u32>::new();
    for _ in 0..times {
        for process in processes {
            let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
            // The name may contain spaces.
            let (_, rest) = stat.rsplit_once(") ").ok_or("no stat")?;
            let processor = rest.split(' ').nth(PROCESSOR).ok_or("a short stat")?;
            *seen.entry(processor.parse()?).or_default() += 1;
        }
    }
    for (processor, times) in seen {
        println!("{processor} {times}");
    }
    Ok(())
}
