//! Parties of a partition in a guest, written in Rust.
//!
//! `lab-agent SOCKET NAME [HOW=ID]...`: registers, says `NAME is registered`, and stays until it is killed. Of the processors named it
//! `refuse`s one, ends in the middle of its answer for another (`crash`), and never answers for a third (`hang`).

use std::error::Error;
use std::path::Path;
use std::thread;

use hotadd::{HardwareId, Notice, Partition, State, Status, Veto};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(socket), Some(name)) = (args.next(), args.next()) else {
        return Err("usage: lab-agent SOCKET NAME [refuse=ID] [crash=ID] [hang=ID]".into());
    };
    let ways = args.map(|way| parse(&way)).collect::<Result<Vec<_>, _>>()?;
    let partition = Partition::connect(Path::new(&socket))?;
    let said = name.clone();
    let _registration = partition.register(&name, move |notice: &Notice| {
        let id = notice.processor().id;
        println!("{said} {} {}", notice.state(), id);
        let way = ways.iter().find(|(_, of)| *of == id && notice.state() == State::AddStart);
        match way.map(|(how, _)| *how) {
            None => Ok(()),
            Some(How::Refuse) => {
                Err(Veto::new(Status::INSUFFICIENT_RESOURCES, format!("no room for {id}")))
            }
            Some(How::Crash) => std::process::abort(),
            Some(How::Hang) => loop {
                thread::park();
            },
        }
    })?;
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

fn parse(way: &str) -> Result<(How, HardwareId), String> {
    let wrong = || format!("{way:?} is none of refuse=ID, crash=ID, hang=ID");
    let (how, id) = way.split_once('=').ok_or_else(wrong)?;
    let how = match how {
        "refuse" => How::Refuse,
        "crash" => How::Crash,
        "hang" => How::Hang,
        _ => return Err(wrong()),
    };
    Ok((how, HardwareId(id.parse().map_err(|_| wrong())?)))
}
