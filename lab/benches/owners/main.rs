//! How long programs (owners) take to bring a plugged-in processor online: in one guest for each kernel, the owners in turn, first starts
//! only. Before each measured start the owner starts one processor that is not measured, so that all code has run once.
//!
//! `cargo bench -p lab --bench guests_owners -- [ROUNDS] [NAME...]` prints tables, of the owners whose names contain one of these. With
//! `--calls` it prints instead which system calls each owner makes from the add event to the write. Nothing depends on the
//! figures. `HOTADD_EARLIER=FILE` adds the daemon of an earlier version, built for guests. Without `--bench`, as
//! `cargo test --bench guests_owners` has it, there is one round, and no table.

mod at_once;
mod list;
mod table;
mod trace;

use std::error::Error;
use std::time::{Duration, Instant};

use lab::{Guest, Kernel, Lab};

use list::Owner;
use table::Sample;

/// For a processor to come online when some hundred are, and this machine is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Of each owner.
const ROUNDS: u32 = 10;

/// What a guest may have.
const MOST: u32 = 250;

/// There at boot: one for the owner and one for what else the kernel does.
const AT_BOOT: u32 = 2;

/// That come in a turn: one to run everything once, which would else be read from the disk and translated, and one to measure.
const A_TURN: u32 = 2;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let timed = std::env::args().any(|argument| argument == "--bench");
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let rounds = if timed { asked.unwrap_or(ROUNDS) } else { 1 };
    let calls = std::env::args().any(|argument| argument == "--calls");
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--") && argument.parse::<u32>().is_err())
        .collect();
    let mut owners = list::all();
    owners.retain(|o| names.is_empty() || names.iter().any(|name| o.name.contains(name.as_str())));
    for kernel in Kernel::ALL {
        let began = Instant::now();
        let samples = measure(kernel, &owners, rounds, calls)?;
        if timed && calls {
            println!("{kernel}: system calls from the add event to the write");
            for (owner, samples) in owners.iter().zip(&samples) {
                for sample in samples {
                    println!("{}: {}", owner.name, sample.calls.len());
                    sample.calls.iter().for_each(|call| println!("    {call}"));
                }
            }
        } else if timed {
            println!("{kernel}, {rounds} processors each, {:.0?}", began.elapsed());
            table::print(&owners, &samples);
        }
        if !calls {
            at_once::measure(kernel, &names, rounds, timed)?;
        }
    }
    Ok(())
}

/// For each owner what was seen.
fn measure(
    kernel: Kernel,
    owners: &[Owner],
    rounds: u32,
    calls: bool,
) -> Outcome<Vec<Vec<Sample>>> {
    let most = AT_BOOT + A_TURN * u32::try_from(owners.len())? * rounds;
    if most > MOST {
        return Err(
            format!("{rounds} rounds take {most} processors, and a guest has {MOST}").into()
        );
    }
    let guest = boot(kernel, owners, most)?;
    trace::begin(&guest, calls)?;
    let mut samples: Vec<_> = owners.iter().map(|_| Vec::new()).collect();
    let mut next = AT_BOOT;
    for round in 0..rounds as usize {
        // Each is as often early as late: with every processor the next takes longer.
        for place in 0..owners.len() {
            let which = (round + place) % owners.len();
            let sample = turn(&guest, &owners[which], next)
                .map_err(|e| format!("{kernel}, {}: {e}\n{}", owners[which].name, said(&guest)))?;
            samples[which].push(sample);
            next += A_TURN;
        }
    }
    Ok(samples)
}

/// A guest that may have `most` processors, with the programs of these owners.
fn boot(kernel: Kernel, owners: &[Owner], most: u32) -> Outcome<Guest> {
    let mut lab = Lab::new(kernel)?.debian()?.memory(2048).cpus(AT_BOOT, most);
    let mut programs: Vec<_> = owners.iter().flat_map(|owner| owner.programs).copied().collect();
    programs.sort_unstable();
    programs.dedup();
    for name in programs {
        lab = lab.program(name)?;
    }
    if let Some(earlier) = list::earlier() {
        lab = lab.file(&earlier, list::EARLIER);
    }
    Ok(lab.boot()?)
}

/// A turn of an owner, from this processor on: the last that it brings online.
fn turn(guest: &Guest, owner: &Owner, first: u32) -> Outcome<Sample> {
    script(guest, &owner.start)?;
    let mut last = None;
    for id in first..first + A_TURN {
        last = Some(one(guest, owner, id)?);
    }
    script(guest, &owner.stop)?;
    last.ok_or_else(|| "no processor was brought online".into())
}

/// One processor of an owner that has begun.
fn one(guest: &Guest, owner: &Owner, id: u32) -> Outcome<Sample> {
    script(guest, owner.before)?;
    trace::clear(guest)?;
    let from = guest.next_uevent()?;
    guest.plug(id as usize)?;
    let device = format!("@/devices/system/cpu/cpu{id}");
    let online = guest.uevent(from, &format!("online{device}"), LIMIT)?.at_us;
    let add = guest.uevent(from, &format!("add{device}"), LIMIT)?.at_us;
    let heard = online.saturating_sub(add);
    let (times, calls) = trace::times(guest, id)?;
    // With each that runs the next takes longer, and this machine has less for all.
    script(guest, &format!("echo 0 > /sys/devices/system/cpu/cpu{id}/online"))?;
    script(guest, &format!("id={id}\n{}", owner.after))?;
    Ok(Sample { times, heard, calls })
}

/// What owners and parties have said last.
fn said(guest: &Guest) -> String {
    let said = guest.run(&["sh", "-c", "tail -n 5 /run/*.said"]);
    said.map_or_else(|e| e.to_string(), |said| String::from_utf8_lossy(&said.stdout).into_owned())
}

fn script(guest: &Guest, script: &str) -> Outcome<()> {
    let output = guest.run_within(LIMIT * 2, &["sh", "-e", "-c", script])?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{script}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
