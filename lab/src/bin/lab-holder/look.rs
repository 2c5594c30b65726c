//! Where other processes run: looks many times, and says how often each processor was seen.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;

/// Which field of a process' stat behind its name is the processor that it ran on last.
const PROCESSOR: usize = 36;

/// Looks so many times at each.
pub(crate) fn look(times: u32, processes: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut seen = BTreeMap::<u32, u32>::new();
    for _ in 0..times {
        for process in processes {
            let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
            // The name may have spaces in it.
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
