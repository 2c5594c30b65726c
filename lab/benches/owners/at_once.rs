//! Several processors that are plugged in at once: how much longer they take than the kernel needs to bring them up one by one.

use lab::{Guest, Kernel};

use crate::list::{self, Owner};
use crate::{A_TURN, AT_BOOT, LIMIT, Outcome, boot, one, script, trace};

/// How many are plugged in at once.
const MANY: u32 = 16;

/// Rounds of each owner, at most: a round takes as many processors as eight turns of the other table.
const ROUNDS: u32 = 3;

/// One round of an owner, in microseconds.
#[derive(Clone, Copy)]
struct Batch {
    /// From the first add event until the last processor is up.
    total: u64,
    /// The bring-ups of all of them, added up.
    bring_up: u64,
    /// The writes that found the hot-plug lock held, until they got it, added up.
    lock: u64,
}

/// Measures, and prints a table if `prints`.
pub(crate) fn measure(kernel: Kernel, names: &[String], rounds: u32, prints: bool) -> Outcome<()> {
    let mut owners = list::at_once();
    owners.retain(|o| names.is_empty() || names.iter().any(|name| o.name.contains(name.as_str())));
    if owners.is_empty() {
        return Ok(());
    }
    let rounds = rounds.min(ROUNDS);
    let most = AT_BOOT + (A_TURN + MANY) * u32::try_from(owners.len())? * rounds;
    let guest = boot(kernel, &owners, most)?;
    trace::begin(&guest, false)?;
    let mut next = AT_BOOT;
    let mut batches: Vec<Vec<Batch>> = owners.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds as usize {
        for place in 0..owners.len() {
            let which = (round + place) % owners.len();
            let owner = &owners[which];
            batches[which].push(batch(&guest, owner, next).map_err(|e| {
                format!("{kernel}, {} at once, {}: {e}\n{}", MANY, owner.name, crate::said(&guest))
            })?);
            next += A_TURN + MANY;
        }
    }
    if !prints {
        return Ok(());
    }
    println!(
        "{kernel}, {MANY} processors at once, {rounds} rounds, milliseconds: total / the kernel's own bring-ups (limit 1.10)"
    );
    for (owner, batches) in owners.iter().zip(batches) {
        print!("{:29}", owner.name);
        for Batch { total, bring_up, lock } in batches {
            let hundredths = total * 100 / bring_up.max(1);
            let (whole, part) = (hundredths / 100, hundredths % 100);
            let [total, bring_up, lock] = [total, bring_up, lock].map(|us| us / 1000);
            print!("  {total} / bring-up {bring_up} = {whole}.{part:02} (lock {lock})");
        }
        println!();
    }
    Ok(())
}

/// A turn that is not measured, and then the batch.
fn batch(guest: &Guest, owner: &Owner, first: u32) -> Outcome<Batch> {
    script(guest, &owner.start)?;
    for id in first..first + A_TURN {
        one(guest, owner, id)?;
    }
    let ids = first + A_TURN..first + A_TURN + MANY;
    script(guest, owner.before)?;
    trace::clear(guest)?;
    let from = guest.next_uevent()?;
    for id in ids.clone() {
        guest.plug(id as usize)?;
    }
    let mut all = Vec::new();
    for id in ids.clone() {
        guest.uevent(from, &format!("online@/devices/system/cpu/cpu{id}"), LIMIT)?;
    }
    for id in ids.clone() {
        all.push(trace::times(guest, id)?.0);
    }
    let began = all.iter().map(|times| times.add).min().unwrap_or_default();
    let ended = all.iter().map(|times| times.upped).max().unwrap_or_default();
    let sum = |of: fn(&trace::Times) -> u64| all.iter().map(of).sum::<u64>();
    let batch = Batch {
        total: ended - began,
        bring_up: sum(|times| times.upped - times.up),
        lock: sum(|times| times.up - times.write),
    };
    for id in ids {
        script(guest, &format!("echo 0 > /sys/devices/system/cpu/cpu{id}/online"))?;
    }
    script(guest, &format!("id={}\n{}", first + A_TURN + MANY - 1, owner.after))?;
    script(guest, &owner.stop)?;
    Ok(batch)
}
