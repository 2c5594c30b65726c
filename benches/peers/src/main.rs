//! Measures hotadd beside other libraries in one run, and writes tables and plots into the documentation.
//!
//! `benches/peers/run` installs the other libraries and starts this. Without arguments everything is measured,
//! `docs/performance.md` is updated between its markers, and the plots in `docs/plots` are written. `--quick` measures little and
//! writes nothing. `--once` runs everything once, for the tests.

mod data;
mod drivers;
mod effort;
mod getcpu;
mod growth;
mod known;
mod machine;
mod page;
mod peer;
mod plot;
mod report;
mod transactions;
mod watchers;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use effort::Effort;
use report::Section;
use watchers::{WATCH, Watcher};

const USAGE: &str = "usage: hotadd-peers [--quick | --once] [SECTION...]
sections: machine transactions reaching counting known growth";

type Measure = fn(Effort) -> Section;

/// All sections: the name, and what measures it.
const SECTIONS: [(&str, Measure); 6] = [
    ("machine", |_| machine::section()),
    ("transactions", transactions::section),
    ("reaching", data::reaching),
    ("counting", data::counting),
    ("known", known::section),
    ("growth", growth::section),
];

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if let [watch, name, path] = &words[..]
        && watch == WATCH
    {
        let Some(watcher) = Watcher::named(name) else { return usage() };
        watcher.run(Path::new(path));
        return ExitCode::SUCCESS;
    }
    let mut effort = Effort::Full;
    let mut chosen = Vec::new();
    for word in &words {
        match word.as_str() {
            "--quick" => effort = Effort::Quick,
            "--once" => effort = Effort::Once,
            name if SECTIONS.iter().any(|(section, _)| *section == name) => chosen.push(name),
            _ => return usage(),
        }
    }
    match run(effort, &chosen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hotadd-peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// Measures these sections, or all, and prints them. A full run also writes each as soon as it is measured.
fn run(effort: Effort, chosen: &[&str]) -> Result<(), Box<dyn Error>> {
    for (name, measure) in SECTIONS {
        if !chosen.is_empty() && !chosen.contains(&name) {
            continue;
        }
        let section = measure(effort);
        println!("## {name}\n\n{}", section.text());
        if effort == Effort::Full {
            write(&section)?;
        }
    }
    Ok(())
}

fn write(section: &Section) -> Result<(), Box<dyn Error>> {
    let docs = docs();
    let path = docs.join("performance.md");
    let at = |error| format!("{}: {error}", path.display());
    let text = fs::read_to_string(&path).map_err(at)?;
    let text = page::with(&text, section)?;
    fs::create_dir_all(docs.join("plots"))?;
    for plot in &section.plots {
        let path = docs.join("plots").join(plot.file).with_extension("svg");
        fs::write(&path, plot::svg(plot)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    fs::write(&path, text).map_err(at)?;
    Ok(())
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}
