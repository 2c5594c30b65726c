//! Reading and writing the table: `table/README.md` describes the format.

use std::fmt;

use hotadd_core::{State, Status};

use crate::scenario::{Act, Command, Fault, Party, Scenario};

/// The files of the table and their texts, by the first letter of the clauses.
pub const FILES: [(&str, &str); 6] = [
    ("R.txt", include_str!("../table/R.txt")),
    ("A.txt", include_str!("../table/A.txt")),
    ("D.txt", include_str!("../table/D.txt")),
    ("L.txt", include_str!("../table/L.txt")),
    ("X.txt", include_str!("../table/X.txt")),
    ("Q.txt", include_str!("../table/Q.txt")),
];

/// All scenarios of the table.
///
/// # Panics
/// If the table has a line that cannot be read, with the line.
#[must_use]
pub fn table() -> Vec<Scenario> {
    let read = |(file, text): (&'static str, &str)| {
        let scenarios = text.split("\n# ").map(|part| part.strip_prefix("# ").unwrap_or(part));
        scenarios.map(|part| scenario(file, part)).collect::<Vec<_>>()
    };
    FILES.into_iter().flat_map(read).collect()
}

/// Reads one scenario, without the `# ` of its first line.
fn scenario(file: &'static str, text: &str) -> Scenario {
    let mut lines = text.trim_end().lines();
    let title = lines.next().unwrap_or_default().to_owned();
    let fail = |line: &str| -> ! { panic!("{file}: {title}: cannot read {line:?}") };
    let mut read = Scenario {
        file,
        title: title.clone(),
        head: Vec::new(),
        active: 0,
        spare: 0,
        parties: Vec::new(),
        steps: Vec::new(),
        end: String::new(),
    };
    for line in lines {
        if let Some(text) = line.strip_prefix("> ") {
            let command = command(text).unwrap_or_else(|| fail(line));
            read.steps.push((text.to_owned(), command, Vec::new()));
        } else if line.starts_with("= ") {
            read.end = line.to_owned();
        } else if let Some((_, _, lines)) = read.steps.last_mut() {
            lines.push(line.to_owned());
        } else if let Some(text) = line.strip_prefix("party ") {
            read.parties.push(party(text).unwrap_or_else(|| fail(line)));
            read.head.push(line.to_owned());
        } else {
            (read.active, read.spare) = counts(line).unwrap_or_else(|| fail(line));
            read.head.push(line.to_owned());
        }
    }
    read
}

/// `1 active, 2 spare`
fn counts(line: &str) -> Option<(u32, u32)> {
    let (active, spare) = line.split_once(", ")?;
    let active = active.strip_suffix(" active")?.parse().ok()?;
    Some((active, spare.strip_suffix(" spare")?.parse().ok()?))
}

/// `b; level 2; no removals; looks; AddStart 1: refuse NO_MEMORY`
fn party(text: &str) -> Option<Party> {
    let mut parts = text.split("; ");
    let name = parts.next()?.to_owned();
    let mut party = Party { name, level: 0, removal: true, looks: false, acts: Vec::new() };
    for part in parts {
        match part {
            "no removals" => party.removal = false,
            "looks" => party.looks = true,
            _ => {
                if let Some(level) = part.strip_prefix("level ") {
                    party.level = level.parse().ok()?;
                } else {
                    let (when, what) = part.split_once(": ")?;
                    let (state, number) = when.split_once(' ')?;
                    let state = State::ALL.into_iter().find(|known| known.name() == state)?;
                    party.acts.push((state, number.parse().ok()?, act(what)?));
                }
            }
        }
    }
    Some(party)
}

fn act(text: &str) -> Option<Act> {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match verb {
        "refuse" => Act::Refuse(status(rest)?),
        "crash" => Act::Crash,
        "deregister" => Act::Deregister(rest.to_owned()),
        "request" => Act::Request(Box::new(command(rest)?)),
        _ => Act::Fault(fault(text)?),
    })
}

fn status(name: &str) -> Option<Status> {
    Some(match name {
        "" => Status::INSUFFICIENT_RESOURCES,
        "NO_MEMORY" => Status::NO_MEMORY,
        "DEVICE_BUSY" => Status::DEVICE_BUSY,
        "ACCESS_DENIED" => Status::ACCESS_DENIED,
        _ => Status::from_raw(u32::from_str_radix(name.strip_prefix("0x")?, 16).ok()?),
    })
}

fn command(text: &str) -> Option<Command> {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let numbers = |text: &str| text.split(", ").map(|n| n.parse().ok()).collect::<Option<Vec<_>>>();
    Some(match verb {
        "register" => {
            let (names, replay) =
                rest.strip_suffix(" with replay").map_or((rest, false), |n| (n, true));
            Command::Register(names.split(", ").map(str::to_owned).collect(), replay)
        }
        "deregister" => Command::Deregister(rest.to_owned()),
        "add" => match (rest.strip_prefix("together "), rest.strip_prefix("each ")) {
            (Some(all), _) => Command::AddTogether(numbers(all)?),
            (None, Some(all)) => Command::AddEach(numbers(all)?),
            (None, None) => Command::Add(rest.parse().ok()?),
        },
        "remove" => Command::Remove(rest.parse().ok()?),
        "rehearse" => match rest.strip_prefix("removal ") {
            Some(rest) => Command::RehearseRemoval(rest.parse().ok()?),
            None => Command::Rehearse(rest.parse().ok()?),
        },
        "observe" => Command::Observe,
        _ => Command::Fault(fault(text)?),
    })
}

fn fault(text: &str) -> Option<Fault> {
    let (number, what) = text.split_once(' ')?;
    let number = number.parse().ok()?;
    Some(match what {
        "fails to start" => Fault::Start(number),
        "fails to stop" => Fault::Stop(number),
        "works again" => Fault::Heal(number),
        "vanishes" => Fault::Vanish(number),
        "is started by somebody else" => Fault::Intrude(number),
        _ => return None,
    })
}

/// As the table has it.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.title)?;
        self.head.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        for (command, _, lines) in &self.steps {
            writeln!(f, "> {command}")?;
            lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        writeln!(f, "{}", self.end)
    }
}
