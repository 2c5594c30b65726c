//! Parties of a partition in a guest, written in Rust.
//!
//! `lab-agent SOCKET NAME [HOW=ID]... [ORDERS]`: registers, says `NAME is registered`, and stays until it is killed. Of the processors
//! named it `refuse`s one, ends in the middle of its answer for another (`crash`), and never answers for a third (`hang`). What
//! the file ORDERS says, if it is one of these three words, holds for every processor.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use hotadd::{HardwareId, Notice, Partition, State, Status, Veto};

const USAGE: &str = "usage: lab-agent SOCKET NAME [refuse=ID] [crash=ID] [hang=ID] [ORDERS]";

/// How long a processor may take to be prepared for. It only counts for one that hangs, and is long for an emulated machine.
const LIMIT: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(socket), Some(name)) = (args.next(), args.next()) else { return Err(USAGE.into()) };
    let (ways, orders): (Vec<_>, Vec<_>) = args.partition(|arg| arg.contains('='));
    let ways = ways.iter().map(|way| parse(way)).collect::<Result<Vec<_>, _>>()?;
    let partition = Partition::connect(Path::new(&socket))?;
    let said = name.clone();
    let driver = move |notice: &Notice| {
        let id = notice.processor().id;
        println!("{said} {} {id}", notice.state());
        if notice.state() != State::AddStart {
            return Ok(());
        }
        let order = orders.first().and_then(|path| fs::read_to_string(path).ok());
        let ordered = order.and_then(|order| How::of(order.trim()));
        let way = ways.iter().find(|(_, of)| *of == id).map(|(how, _)| *how);
        match ordered.or(way) {
            None => Ok(()),
            Some(How::Refuse) => {
                println!("{said} refuses {id}");
                Err(Veto::new(Status::INSUFFICIENT_RESOURCES, format!("no room for {id}")))
            }
            Some(How::Crash) => std::process::abort(),
            Some(How::Hang) => loop {
                thread::park();
            },
        }
    };
    let _registration = partition.party(&name).time_limit(LIMIT).register(driver)?;
    println!("{name} is registered");
    loop {
        thread::park();
    }
}

#[derive(Clone, Copy)]
enum How {
    Refuse,
    Crash,
    Hang,
}

impl How {
    fn of(word: &str) -> Option<Self> {
        match word {
            "refuse" => Some(Self::Refuse),
            "crash" => Some(Self::Crash),
            "hang" => Some(Self::Hang),
            _ => None,
        }
    }
}

fn parse(way: &str) -> Result<(How, HardwareId), String> {
    let parts = way.split_once('=').and_then(|(how, id)| Some((How::of(how)?, id.parse().ok()?)));
    let (how, id) = parts.ok_or_else(|| format!("{way:?} is none of these: {USAGE}"))?;
    Ok((how, HardwareId(id)))
}
