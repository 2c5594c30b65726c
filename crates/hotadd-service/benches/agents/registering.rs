//! Registering from another process: every active processor is told in two calls.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use hotadd::{Notice, Partition};

use crate::asking::Served;
use crate::bare::Other;
use crate::{Outcome, median, verdict};

/// The numbers of active processors.
const ACTIVE: [u32; 6] = [1, 127, 255, 510, 1_020, 2_040];

/// The limit for the last of them.
const MOST: Duration = Duration::from_millis(20);

pub(crate) fn registering(measured: bool) -> Outcome<()> {
    let counts = if measured { &ACTIVE[..] } else { &ACTIVE[..1] };
    let mut last = Duration::ZERO;
    for active in counts {
        let served = Served::start(*active, 0)?;
        let times = if measured { "21" } else { "1" };
        let mut other = Other::start(&["register", served.path()?, times], None)?;
        let said = BufReader::new(other.0.stdout.take().ok_or("it has no stdout")?);
        let mut samples = Vec::new();
        for line in said.lines() {
            samples.push(Duration::from_nanos(line?.parse()?));
        }
        assert!(!samples.is_empty(), "the process that registers has failed");
        last = median(&mut samples);
        if measured {
            let each = last / *active;
            println!(
                "registering with {active} active processors: {last:.1?}, {each:.1?} for each"
            );
        }
    }
    if measured {
        println!("  target at most {MOST:?}: {}", verdict(last <= MOST));
    }
    Ok(())
}

/// The other process. It registers this often, and prints how many nanoseconds each took.
pub(crate) fn register(path: &Path, times: u32) -> Outcome<()> {
    let partition = Partition::connect(path)?;
    for _ in 0..times {
        let began = Instant::now();
        let registration = partition.register("agent", |_: &Notice| Ok(()))?;
        let took = began.elapsed();
        registration.deregister()?;
        println!("{}", took.as_nanos());
    }
    Ok(())
}
