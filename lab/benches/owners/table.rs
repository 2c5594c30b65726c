//! Medians and quartiles of what was seen.

use crate::list::Owner;
use crate::trace::Times;

/// One processor that came online.
pub(crate) struct Sample {
    pub(crate) times: Times,
    /// From the add event to the online event as a third program hears them, in microseconds.
    pub(crate) heard: u64,
    /// The system calls of the owner from the add event to the write, if they are traced: how long after the event, who, what.
    pub(crate) calls: Vec<String>,
}

/// A column: its head, and what of a sample it shows, in microseconds.
type Column = (&'static str, fn(&Sample) -> u64);

const COLUMNS: [Column; 8] = [
    // All that is the owner's: when the write returns, the online event has been sent.
    ("own share", |s| s.times.write.saturating_sub(s.times.add)),
    ("for the lock", |s| s.times.up - s.times.write),
    // The two together: what waiting before the write is to make less.
    ("until bring-up", |s| s.times.up - s.times.add),
    ("bring-up", |s| s.times.upped - s.times.up),
    ("the write", |s| s.times.wrote - s.times.write),
    ("total", |s| s.times.online - s.times.add),
    ("as heard", |s| s.heard),
    ("lock free", |s| s.times.free.saturating_sub(s.times.add)),
];

pub(crate) fn print(owners: &[Owner], samples: &[Vec<Sample>]) {
    println!("milliseconds: median (quartiles)");
    print!("{:29}", "");
    for (head, _) in COLUMNS {
        print!(" {head:>20}");
    }
    println!(" {:>12}", "tried again");
    for (owner, samples) in owners.iter().zip(samples) {
        print!("{:29}", owner.name);
        for (_, of) in COLUMNS {
            print!(" {:>20}", spread(samples.iter().map(of)));
        }
        let again = samples.iter().filter(|s| s.times.retries > 0).count();
        println!(" {:>12}", format!("{again} of {}", samples.len()));
    }
    let held = || samples.iter().flatten().map(|s| s.times.free.saturating_sub(s.times.add));
    let most = held().max().unwrap_or_default();
    println!("the lock is free after the add event: {}, at most {}", spread(held()), ms(most));
    targets(owners, samples);
    println!();
}

/// The targets of `docs/performance.md` for the own share, as far as the owners that they name were measured.
fn targets(owners: &[Owner], samples: &[Vec<Sample>]) {
    let median = |name: &str| {
        let at = owners.iter().position(|owner| owner.name == name)?;
        let mut values: Vec<u64> = samples[at].iter().map(COLUMNS[0].1).collect();
        values.sort_unstable();
        values.get((values.len() - 1) / 2).copied()
    };
    let target = |what: &str, ours: &str, other: &str, limit: fn(u64) -> u64| {
        let (Some(ours), Some(limit)) = (median(ours), median(other).map(limit)) else { return };
        let met = if ours <= limit { "met" } else { "missed" };
        println!("own share {what}: {}, limit {}: {met}", ms(ours), ms(limit));
    };
    let (ten, hundred) = ("hotadd, 10 parties", "hotadd, 100 parties");
    target("of 10 parties below udevd with a worker", ten, "udevd, with a worker", |us| us);
    target("of 10 parties, bare listener + 2 ms", ten, "bare listener", |us| us + 2000);
    let bare = "the same that asks 100 bare";
    target("of 100 parties, 1.5 x bare that asks 100", hundred, bare, |us| us * 3 / 2);
}

fn spread(values: impl Iterator<Item = u64>) -> String {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    let at = |quarters: usize| ms(values[(values.len() - 1) * quarters / 4]);
    if values.is_empty() { "-".into() } else { format!("{} ({} {})", at(2), at(1), at(3)) }
}

#[expect(clippy::cast_precision_loss, reason = "minutes at most")]
fn ms(us: u64) -> String {
    format!("{:.1}", us as f64 / 1000.0)
}
