//! The text of the windows over the view: help, a processor, a party, an event, a rehearsal, a question.

use std::time::{Duration, Instant};

use hotadd::Status;
use hotadd_daemon::view::millis;
use ratatui::style::Style;
use ratatui::text::Span;
use serde_json::Value;

use super::map;
use super::model::{Cpu, Model, Popup, Watched};
use super::party::{Answer, Gone, Party, Registered};
use super::state::CpuState;
use crate::ask::lines::{event_text, why};
use crate::tui::canvas::{BAD, BOLD, BUSY, DIM, GOOD, NORMAL, wrap};

/// The widest window.
const WIDEST: u16 = 70;

/// How many events of a party are listed.
const EVENTS: usize = 20;

/// A line, which may be longer than a row.
type Line = (String, Style);

/// The width of a window's text on this terminal.
pub(super) fn width(model: &Model) -> u16 {
    model.size.width.saturating_sub(4).clamp(1, WIDEST)
}

/// The rows of the window that is open, and its title.
pub(super) fn rows(model: &Model, now: Instant) -> Option<(String, Vec<Line>)> {
    let (title, lines) = lines(model, now)?;
    let width = width(model);
    let rows = lines.into_iter().flat_map(|(text, style)| {
        if Span::raw(&*text).width() <= width.into() {
            return vec![(text, style)];
        }
        // Continued rows are indented.
        let indent = text.len() - text.trim_start().len();
        let more = width.saturating_sub(u16::try_from(indent).unwrap_or(0) + 2);
        let rows = wrap(text.trim_start(), more).into_iter().enumerate();
        let space = " ".repeat(indent);
        let row = |(nth, row)| (format!("{space}{}{row}", if nth > 0 { "  " } else { "" }), style);
        rows.map(row).collect()
    });
    Some((title, rows.collect()))
}

/// How many rows a window of this terminal has at most.
pub(super) fn most_rows(model: &Model) -> usize {
    usize::from(model.size.height.saturating_sub(4)).max(1)
}

/// How many rows of the open window do not fit.
pub(super) fn rows_hidden(model: &Model) -> usize {
    let rows = rows(model, Instant::now()).map_or(0, |(_, rows)| rows.len());
    rows.saturating_sub(most_rows(model))
}

fn lines(model: &Model, now: Instant) -> Option<(String, Vec<Line>)> {
    let watched = model.current();
    Some(match model.popup? {
        Popup::Help => ("help".to_owned(), help()),
        Popup::Removing(id) => {
            let question =
                format!("Remove processor {id} from {}, if all parties agree? y/n", watched.name);
            ("remove".to_owned(), vec![(question, BOLD)])
        }
        Popup::Processor(id) => (format!("processor {id}"), processor(model, watched, id, now)),
        Popup::Party(nth) => match watched.parties.get(nth) {
            Some(of) => (format!("party {}", of.name), party(model, watched, of, now)),
            None => (
                "party".to_owned(),
                vec![("This party is no longer registered.".to_owned(), NORMAL)],
            ),
        },
        Popup::Event(number) => match watched.event(number) {
            Some(of) => ("event".to_owned(), event(model, of)),
            None => {
                ("event".to_owned(), vec![("This event is no longer kept.".to_owned(), NORMAL)])
            }
        },
        Popup::Rehearsal => ("rehearsal".to_owned(), rehearsal(watched)),
    })
}

fn help() -> Vec<Line> {
    let keys = [
        ("arrows, hjkl", "move; at an end, to the next part"),
        ("1 2 3", "to the processors, the parties, the history"),
        ("PgUp PgDn Home End", "move far"),
        ("Tab", "the next partition; Shift-Tab, the one before"),
        ("Enter", "details of a processor, a party, an event"),
        ("a", "add the chosen processor, if all parties agree"),
        ("d", "remove it, if all parties agree; asks first"),
        ("r", "rehearse: ask all parties, add nothing"),
        ("R", "rehearse a removal: ask them, remove nothing"),
        ("Esc", "close a window"),
        ("Ctrl-L", "draw everything again"),
        ("q, Ctrl-C", "quit; requests continue in the partition"),
    ];
    let mut lines: Vec<Line> =
        keys.iter().map(|(key, what)| (format!("{key:<18} {what}"), NORMAL)).collect();
    lines.push((String::new(), NORMAL));
    let state =
        |state: CpuState| (format!("{}  {}", state.sign(), state.sentence()), state.style());
    lines.extend(CpuState::ALL.map(state));
    lines
}

fn processor(model: &Model, watched: &Watched, id: u32, now: Instant) -> Vec<Line> {
    let Some(cpu) = watched.processors.get(&id) else {
        return vec![("The partition no longer knows this processor.".to_owned(), NORMAL)];
    };
    let mut lines = vec![(cpu.state.sentence().to_owned(), cpu.state.style())];
    if let Some(processor) = cpu.processor {
        let number = processor.number();
        let (index, group) = (processor.index, number.group);
        lines.push((format!("index {index}, group {group}, number {}", number.number), NORMAL));
    }
    let place =
        [("node", cpu.place.node), ("package", cpu.place.package), ("core", cpu.place.core)];
    let place = place.iter().filter_map(|(what, of)| Some(format!("{what} {}", (*of)?)));
    let place: Vec<_> = place.collect();
    if !place.is_empty() {
        lines.push((place.join(", "), NORMAL));
    }
    lines.extend(refusal(model, cpu));
    for (row, took) in watched.waits(now).filter(|(row, _)| row.2 == id) {
        lines.push((format!("waiting for {}: {}, {}", row.0, row.1, millis(took)), BUSY));
    }
    let last = last_transaction(watched, id);
    if !last.is_empty() {
        lines.push((String::new(), NORMAL));
        lines.push(("Last transaction:".to_owned(), BOLD));
        lines.extend(last.iter().map(|event| timed(model, event)));
    }
    lines
}

fn refusal(model: &Model, cpu: &Cpu) -> Option<Line> {
    let event = cpu.refusal.as_ref()?;
    let at = event["time"].as_u64().map(|ms| format!(", at {}", model.clock(ms)));
    Some((format!("{}{}", why(event), at.unwrap_or_default()), BAD))
}

/// The events of the last add, remove or rehearsal of a processor. A replay is not one of them.
fn last_transaction(watched: &Watched, id: u32) -> Vec<&Value> {
    let ends = |event: &Value| {
        matches!(event["event"].as_str(), Some("joined" | "refused" | "left" | "remove-refused"))
    };
    let of =
        watched.history.iter().rev().filter(|event| event["id"] == id && event["replay"] != true);
    let mut events: Vec<&Value> = Vec::new();
    for event in of {
        // The conclusion of the transaction before; a rehearsal has no conclusion.
        let other = events.last().is_some_and(|newer| newer["rehearsal"] != event["rehearsal"]);
        if !events.is_empty() && (ends(event) || other) {
            break;
        }
        events.push(event);
    }
    events.reverse();
    events
}

fn party(model: &Model, watched: &Watched, of: &Party, now: Instant) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(Registered { number, level, remote }) = of.registered {
        let place = if remote { "in another process" } else { "in the partition's process" };
        lines.push((format!("registered as #{number} at level {level}, {place}"), NORMAL));
    }
    if let Some(Gone { since, status, reason }) = &of.missing {
        let since = model.clock(*since);
        lines.push((format!("missing since {since}: {reason} ({status:?}, L4)"), BAD));
        lines.push(("While it is missing, every add is refused in its name.".to_owned(), NORMAL));
        let restart =
            format!("`hotadd parties --restart {} -p {}` restarts it.", of.name, watched.name);
        lines.push((restart, NORMAL));
    }
    for (row, took) in watched.waits(now).filter(|(row, _)| row.0 == of.name) {
        lines.push((
            format!("waited for: {} of processor {}, {}", row.1, row.2, millis(took)),
            BUSY,
        ));
    }
    if let Some(last) = &of.last {
        lines.push((
            format!("last answer: {}", answer(model, last)),
            if last.agreed { GOOD } else { BAD },
        ));
        if !last.agreed {
            lines.push((format!("  {}", why(&last.event)), BAD));
        }
    }
    let its: Vec<&Value> = watched.history.iter().filter(|event| of.is_of(event)).collect();
    let answers = || its.iter().filter_map(|event| Answer::of(event));
    let refused = answers().filter(|answer| !answer.agreed).count();
    let agreed = answers().count() - refused;
    lines.push((format!("in the history: agreed {agreed}, refused {refused}"), NORMAL));
    if !its.is_empty() {
        lines.push((String::new(), NORMAL));
        lines.push(("Its last events, latest first:".to_owned(), BOLD));
        lines.extend(its.iter().rev().take(EVENTS).map(|event| timed(model, event)));
    }
    lines
}

/// What was answered to what, how fast, and when.
pub(super) fn answer(model: &Model, answer: &Answer) -> String {
    let verb = match (answer.agreed, answer.removal) {
        (true, false) => "agreed to",
        (true, true) => "agreed to remove",
        (false, false) => "refused",
        (false, true) => "refused to remove",
    };
    let took = answer.took.map(|took| format!(" in {}", millis(took))).unwrap_or_default();
    format!("{verb} {}{took}, at {}", answer.id, model.clock(answer.time))
}

fn event(model: &Model, of: &Value) -> Vec<Line> {
    let mut lines = vec![timed(model, of), (String::new(), NORMAL)];
    let fields = of.as_object().into_iter().flatten();
    lines.extend(fields.map(|(key, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (format!("{key}: {value}"), DIM)
    }));
    lines
}

fn timed(model: &Model, event: &Value) -> Line {
    let time = event["time"].as_u64().map(|ms| model.clock(ms)).unwrap_or_default();
    let bad = matches!(
        event["event"].as_str(),
        Some(
            "veto"
                | "refused"
                | "remove-veto"
                | "remove-refused"
                | "start-failed"
                | "stop-failed"
                | "breach"
                | "missing"
        )
    );
    (format!("{time} {}", event_text(event)), if bad { BAD } else { NORMAL })
}

fn rehearsal(watched: &Watched) -> Vec<Line> {
    let Some((verdict, answers)) = &watched.rehearsal else { return Vec::new() };
    let mut lines = vec![(verdict.text.clone(), if verdict.good { GOOD } else { BAD })];
    for (_, name, level, agreed, status, reason, us) in answers {
        let took = millis(Duration::from_micros(*us));
        lines.push(match agreed {
            true => (format!("✓ {name} (level {level}) agrees, in {took}"), GOOD),
            false => {
                let status = Status::from_raw(*status);
                (format!("✕ {name} (level {level}) refuses, in {took}: {reason} ({status:?})"), BAD)
            }
        });
    }
    lines
}

/// The chosen processor in a line.
pub(super) fn summary(model: &Model, id: u32, cpu: &Cpu) -> String {
    let mut text = format!("processor {id}: {}", cpu.state.sentence());
    if let Some(refusal) = &cpu.refusal {
        text = format!("processor {id}: {}", why(refusal));
    }
    if map::margin(model.current(), 80) > 12
        && let (Some(node), Some(core)) = (cpu.place.node, cpu.place.core)
    {
        text.push_str(&format!(" (node {node}, core {core})"));
    }
    text
}
