//! Parties of a partition in a guest, written in Rust.
//!
//! `lab-agent SOCKET NAME [--later] [HOW=LIST]... [ORDERS]`: registers, prints `NAME is registered`, and stays until it is
//! killed. For the processors listed, it refuses to add them (`refuse`), or all others (`only`); ends in the middle of its answer
//! (`crash`), never answers (`hang`), or refuses to remove them (`keep`). It prints a line for each notice. With `--later` it is
//! not notified of the processors that are already there. The contents of the file ORDERS at that moment, such as `crash=3`, take
//! precedence over the arguments.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use hotadd::{CpuList, Driver, Notice, Partition, Removal, State, Status, Veto};

/// The time limit of an answer: a guest on a busy machine sometimes stands still for seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// The time limit of a party that may hang, whose end is waited for.
const HANGS: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(socket), Some(name)) = (args.next(), args.next()) else {
        return Err("usage: lab-agent SOCKET NAME [--later] [HOW=LIST]... [ORDERS]".into());
    };
    let (later, args): (Vec<_>, Vec<_>) = args.partition(|arg| arg == "--later");
    let (ways, orders): (Vec<_>, Vec<_>) = args.into_iter().partition(|arg| arg.contains('='));
    let ways = ways.iter().map(|way| parse(way)).collect::<Result<Vec<_>, _>>()?;
    let partition = Partition::connect(Path::new(&socket))?;
    let may_hang = !orders.is_empty() || ways.iter().any(|(how, _)| matches!(how, How::Hang));
    let limit = if may_hang { HANGS } else { LIMIT };
    let party = Party { name: name.clone(), ways, orders: orders.into_iter().next() };
    let registering = partition.registration(&name).time_limit(limit);
    let registering = if later.is_empty() { registering } else { registering.without_replay() };
    let _registration = registering.register(party)?;
    println!("{name} is registered");
    loop {
        thread::park();
    }
}

/// A party that prints its notices and behaves as its arguments say.
struct Party {
    name: String,
    ways: Vec<(How, CpuList)>,
    orders: Option<String>,
}

#[derive(Clone, Copy)]
enum How {
    Refuse,
    Only,
    Crash,
    Hang,
    Keep,
}

impl Driver for Party {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.say(notice);
        self.answer(notice)
    }

    fn add_complete(&mut self, notice: &Notice) {
        self.say(notice);
    }

    fn add_failure(&mut self, notice: &Notice) {
        self.say(notice);
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for Party {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.say(notice);
        self.answer(notice)
    }

    fn remove_complete(&mut self, notice: &Notice) {
        self.say(notice);
    }

    fn remove_failure(&mut self, notice: &Notice) {
        self.say(notice);
    }
}

impl Party {
    /// `pool AddFailure 3 as 0:3: STATUS_UNSUCCESSFUL, EAGAIN (11)`
    fn say(&self, notice: &Notice) {
        let processor = notice.processor();
        let mut line =
            format!("{} {} {} as {}", self.name, notice.state(), processor.id, processor.number());
        if notice.status() != Status::SUCCESS {
            let _ = write!(line, ": {:?}", notice.status());
        }
        if let Some(errno) = notice.errno() {
            let _ = write!(line, ", {errno}");
        }
        if notice.is_surprise() {
            line.push_str(", a surprise");
        }
        println!("{line}");
    }

    fn answer(&self, notice: &Notice) -> Result<(), Veto> {
        let id = notice.processor().id;
        let adding = notice.state() == State::AddStart;
        let no = |why: &str| {
            println!("{} refuses {id}", self.name);
            Err(Veto::new(Status::INSUFFICIENT_RESOURCES, format!("{why} {id}")))
        };
        let orders = self.orders.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let ordered = orders.and_then(|order| parse(order.trim()).ok());
        for (how, list) in ordered.iter().chain(&self.ways) {
            match (how, list.contains(id)) {
                (How::Refuse, true) | (How::Only, false) if adding => return no("no room for"),
                (How::Keep, true) if !adding => return no("busy on"),
                (How::Crash, true) if adding => std::process::abort(),
                (How::Hang, true) if adding => loop {
                    thread::park();
                },
                _ => {}
            }
        }
        Ok(())
    }
}

fn parse(way: &str) -> Result<(How, CpuList), String> {
    let wrong = || format!("{way:?} is not one of refuse=LIST, only=, crash=, hang=, keep=");
    let (how, list) = way.split_once('=').ok_or_else(wrong)?;
    let how = match how {
        "refuse" => How::Refuse,
        "only" => How::Only,
        "crash" => How::Crash,
        "hang" => How::Hang,
        "keep" => How::Keep,
        _ => return Err(wrong()),
    };
    Ok((how, list.parse().map_err(|error| format!("{way:?}: {error}"))?))
}
