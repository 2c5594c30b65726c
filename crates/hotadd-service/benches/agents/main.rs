//! The cost of parties in other processes, compared with bare exchanges of the same number of bytes over Unix sockets: asking one
//! agent over D-Bus or on its board, asking 10 and 100 agents on their boards, an add over a hundred slow agents, registering with
//! many active processors, and the memory of an agent.
//!
//! The other processes run this program again. `cargo bench -p hotadd-service --bench agents`; an argument behind `--` measures only
//! the parts whose names contain it.

mod asking;
mod bare;
mod raw;
mod registering;

use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use asking::Asking;
use bare::Bare;

/// The number of slow agents, and their delay.
const AGENTS: u32 = 100;
const DELAY: Duration = Duration::from_millis(10);

/// The limits for asking one agent, in bare exchanges: over D-Bus, and on its board.
const MOST_MESSAGES: f64 = 2.0;
const MOST_BOARD: f64 = 1.0;

/// The limit for asking many agents on their boards, in exchanges of a program that asks as many bare processes.
const MOST_MANY: f64 = 0.5;

/// The limit for an add over all slow agents. One after the other they would take a second.
const MOST_ADD: Duration = Duration::from_millis(30);

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A part of the bench. The argument says whether to measure; otherwise it is only checked once.
type Part = fn(bool) -> Outcome<()>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["echo"] => return bare::echo(),
        ["agents", path, count, delay] => {
            return raw::agents(
                Path::new(path),
                count.parse()?,
                Duration::from_millis(delay.parse()?),
            );
        }
        ["board", path] => return asking::agent_on_board(Path::new(path)),
        ["register", path, times] => return registering::register(Path::new(path), times.parse()?),
        _ => {}
    }
    // `cargo bench` passes this argument. Without it, the bench is only checked once.
    let measured = arguments.iter().any(|argument| argument == "--bench");
    let only = arguments.iter().find(|argument| !argument.starts_with('-'));
    let parts: [(&str, Part); 6] = [
        ("one", one),
        ("10 agents", |measured| many(10, measured)),
        ("100 agents", |measured| many(100, measured)),
        ("slow", slow),
        ("registering", registering::registering),
        ("memory", memory),
    ];
    for (name, part) in parts {
        if only.is_none_or(|only| name.contains(only.as_str())) {
            part(measured)?;
        }
    }
    Ok(())
}

/// Asking one agent.
fn one(measured: bool) -> Outcome<()> {
    let (rounds, samples) = if measured { (20, 2_000) } else { (1, 2) };
    let (mut bares, mut askeds, mut boardeds) = (Vec::new(), Vec::new(), Vec::new());
    let mut bare = Bare::start(1)?;
    let mut asking = Asking::start(1, Duration::ZERO, 1)?;
    let mut boarding = Asking::start_on_boards(1)?;
    // Alternating, so that other load affects both alike.
    for _ in 0..rounds {
        bare.exchange(samples, &mut bares)?;
        asking.rehearse(samples / 2, &mut askeds)?;
        boarding.rehearse(samples / 2, &mut boardeds)?;
    }
    if !measured {
        return Ok(());
    }
    let bare = median(&mut bares);
    println!("bare exchange with another process over a Unix socket: {bare:.1?}");
    compare("asking one agent in another process", &mut askeds, bare, MOST_MESSAGES);
    compare("asking one agent in another process on its board", &mut boardeds, bare, MOST_BOARD);
    Ok(())
}

/// Asking many agents on their boards, each in a process of its own.
fn many(count: u32, measured: bool) -> Outcome<()> {
    let (rounds, samples) = if measured { (20, 100) } else { (1, 2) };
    let (mut bares, mut boardeds) = (Vec::new(), Vec::new());
    let mut bare = Bare::start(count)?;
    let mut boarding = Asking::start_on_boards(count)?;
    for _ in 0..rounds {
        bare.exchange(samples, &mut bares)?;
        boarding.rehearse(samples / 2, &mut boardeds)?;
    }
    if !measured {
        return Ok(());
    }
    let bare = median(&mut bares);
    println!("bare exchanges with {count} processes over Unix sockets: {bare:.1?}");
    compare(&format!("asking {count} agents on their boards"), &mut boardeds, bare, MOST_MANY);
    Ok(())
}

/// An add over slow agents that are asked at the same time.
fn slow(measured: bool) -> Outcome<()> {
    let adds = if measured { 100 } else { 1 };
    let mut adds = Asking::start(AGENTS, DELAY, adds)?.add_all(adds)?;
    if !measured {
        return Ok(());
    }
    let add = median(&mut adds);
    let worst = adds.last().copied().unwrap_or_default();
    println!(
        "an add that {AGENTS} agents take {DELAY:?} each over: {add:.1?}, the longest of {} {worst:.1?}",
        adds.len()
    );
    println!("  target at most {MOST_ADD:?}: {}", verdict(add <= MOST_ADD));
    Ok(())
}

/// What an agent with a board costs the partition's process.
fn memory(measured: bool) -> Outcome<()> {
    let agents = if measured { 100 } else { 1 };
    // Everything that is allocated once is there afterwards.
    let _one = Asking::start_on_boards(1)?;
    let before = resident()?;
    let _asking = Asking::start_on_boards(agents)?;
    let after = resident()?;
    if measured {
        let each = (after.saturating_sub(before)) / u64::from(agents);
        println!(
            "memory: {before} KiB before {agents} agents on boards, {after} KiB with them, {each} KiB each"
        );
    }
    Ok(())
}

/// The resident memory of this process, in KiB.
fn resident() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmRSS")?;
    Ok(kib.trim().parse()?)
}

/// Prints a figure and its ratio to the bare one.
fn compare(what: &str, samples: &mut [Duration], bare: Duration, most: f64) {
    let took = median(samples);
    let ratio = took.as_secs_f64() / bare.as_secs_f64();
    println!("{what}: {took:.1?}");
    println!("  ratio {ratio:.2}, target at most {most}: {}", verdict(ratio <= most));
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// Sorts the samples.
fn median(samples: &mut [Duration]) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}
