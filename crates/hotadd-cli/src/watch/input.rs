//! What a key does: it changes the model, or gives the program something to do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::cursor::Pane;
use super::details;
use super::layout::Layout;
use super::map;
use super::model::{Action, Connection, Message, Model, Popup};

/// The most requests of one partition that wait for an answer. A partition permits more on one connection.
const MOST_RUNNING: usize = 8;

/// What the program is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
    /// Ctrl-L.
    Redraw,
    /// Makes a request of partition number `usize`.
    Act(usize, Action),
}

/// Handles a key.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Option<Command> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Command::Interrupt),
            KeyCode::Char('z') => Some(Command::Suspend),
            KeyCode::Char('l') => Some(Command::Redraw),
            _ => None,
        };
    }
    match model.popup {
        Some(Popup::Removing(id)) => confirm(model, key.code, id),
        Some(_) => {
            in_popup(model, key.code);
            None
        }
        None => in_view(model, key.code),
    }
}

fn confirm(model: &mut Model, code: KeyCode, id: u32) -> Option<Command> {
    match code {
        KeyCode::Char('y' | 'Y') => {
            model.popup = None;
            act(model, Action::Remove(id))
        }
        // Anything else must not remove a processor, and the question must not stay by a wrong key.
        _ => {
            model.popup = None;
            None
        }
    }
}

fn in_popup(model: &mut Model, code: KeyCode) {
    let most = details::rows_hidden(model);
    match code {
        KeyCode::Up | KeyCode::Char('k') => model.scroll = model.scroll.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => model.scroll = (model.scroll + 1).min(most),
        KeyCode::PageUp => model.scroll = model.scroll.saturating_sub(page(model)),
        KeyCode::PageDown | KeyCode::Char(' ') => {
            model.scroll = (model.scroll + page(model)).min(most);
        }
        KeyCode::Home => model.scroll = 0,
        KeyCode::End => model.scroll = most,
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?') => model.popup = None,
        _ => {}
    }
}

fn page(model: &Model) -> usize {
    usize::from(model.size.height / 2).max(1)
}

fn in_view(model: &mut Model, code: KeyCode) -> Option<Command> {
    match code {
        KeyCode::Char('q') => return Some(Command::Quit),
        KeyCode::Char('?') => model.open(Popup::Help),
        KeyCode::Tab => model.shown = (model.shown + 1) % model.watched.len(),
        KeyCode::BackTab => {
            model.shown = (model.shown + model.watched.len() - 1) % model.watched.len();
        }
        KeyCode::Char('1') => model.current_mut().cursor.pane = Pane::Processors,
        KeyCode::Char('2') => model.current_mut().cursor.pane = Pane::Parties,
        KeyCode::Char('3') => model.current_mut().cursor.pane = Pane::History,
        KeyCode::Up | KeyCode::Char('k') => vertical(model, false),
        KeyCode::Down | KeyCode::Char('j') => vertical(model, true),
        KeyCode::Left | KeyCode::Char('h') => horizontal(model, false),
        KeyCode::Right | KeyCode::Char('l') => horizontal(model, true),
        KeyCode::PageUp => paged(model, false),
        KeyCode::PageDown => paged(model, true),
        KeyCode::Home => ends(model, false),
        KeyCode::End => ends(model, true),
        KeyCode::Enter => inspect(model),
        KeyCode::Char('a') => return with_processor(model, Action::Add),
        KeyCode::Char('r') => return with_processor(model, Action::Rehearse),
        KeyCode::Char('R') => return with_processor(model, Action::RehearseRemoval),
        KeyCode::Char('d') => {
            if let Some(id) = model.current().cursor.processor {
                model.open(Popup::Removing(id));
            }
        }
        _ => {}
    }
    None
}

fn with_processor(model: &mut Model, action: fn(u32) -> Action) -> Option<Command> {
    let id = model.current().cursor.processor?;
    act(model, action(id))
}

/// Begins a request, unless it cannot be made now.
fn act(model: &mut Model, action: Action) -> Option<Command> {
    let shown = model.shown;
    let watched = model.current_mut();
    let why = match &watched.connection {
        Connection::Connecting => Some("it is not connected yet".to_owned()),
        Connection::Ended(..) => Some(format!("{} has ended", watched.name)),
        _ if watched.running.contains(&action) => Some(format!("{} already", action.verb())),
        _ if watched.running.len() >= MOST_RUNNING => {
            Some(format!("{MOST_RUNNING} requests are in progress; wait for one of them"))
        }
        _ => None,
    };
    if let Some(text) = why {
        watched.message = Some(Message { text, good: false });
        return None;
    }
    watched.running.push(action);
    watched.message = None;
    Some(Command::Act(shown, action))
}

fn inspect(model: &mut Model) {
    let watched = model.current();
    let cursor = watched.cursor;
    let popup = match cursor.pane {
        Pane::Processors => cursor.processor.map(Popup::Processor),
        Pane::Parties => {
            (cursor.party < watched.parties.len()).then_some(Popup::Party(cursor.party))
        }
        Pane::History => event(model).map(Popup::Event),
    };
    if let Some(popup) = popup {
        model.open(popup);
    }
}

/// The number of the chosen event, or of the latest one.
pub(super) fn event(model: &Model) -> Option<u64> {
    let watched = model.current();
    let last = watched.next().checked_sub(1).filter(|_| !watched.history.is_empty())?;
    Some(watched.cursor.event.unwrap_or(last).clamp(watched.first, last))
}

/// Moves by a row, `down` or up. At the end of a part of the view, the cursor goes on in the next part.
fn vertical(model: &mut Model, down: bool) {
    let map = Layout::new(model).map;
    let number = event(model);
    let watched = model.current_mut();
    let newest = watched.next().checked_sub(1);
    let cursor = &mut watched.cursor;
    match cursor.pane {
        Pane::Processors => {
            let at = cursor.processor.and_then(|id| map::find(&map, id));
            let row = match at {
                Some((y, _)) if down => map.get(y + 1),
                Some((y, _)) => match y.checked_sub(1) {
                    Some(y) => map.get(y),
                    None => return,
                },
                None => None,
            };
            let column = at.map_or(0, |(y, x)| map[y].cells[x].0);
            match row {
                Some(row) => {
                    let nearest = row.cells.iter().min_by_key(|(x, _)| x.abs_diff(column));
                    cursor.processor = nearest.map(|(_, id)| *id);
                }
                None => cursor.pane = Pane::Parties,
            }
        }
        Pane::Parties if down && cursor.party + 1 < watched.parties.len() => cursor.party += 1,
        Pane::Parties if down => cursor.pane = Pane::History,
        Pane::Parties => match cursor.party.checked_sub(1) {
            Some(party) => cursor.party = party,
            None => cursor.pane = Pane::Processors,
        },
        Pane::History if down => older(model, number, 1),
        Pane::History if cursor.event.is_none() || number == newest => {
            (cursor.event, cursor.pane) = (None, Pane::Parties);
        }
        Pane::History => newer(model, number, 1),
    }
}

/// Moves by a processor.
fn horizontal(model: &mut Model, right: bool) {
    let map = Layout::new(model).map;
    let cursor = &mut model.current_mut().cursor;
    if cursor.pane != Pane::Processors {
        return;
    }
    let ids: Vec<u32> = map.iter().flat_map(|row| &row.cells).map(|(_, id)| *id).collect();
    let at = ids.iter().position(|id| Some(*id) == cursor.processor).unwrap_or(0);
    let to = if right { at + 1 } else { at.saturating_sub(1) };
    cursor.processor = ids.get(to).or(ids.last()).copied();
}

/// Moves by as many rows as the part has on the screen.
fn paged(model: &mut Model, down: bool) {
    let Layout { map_height, parties_height, history_height, .. } = Layout::new(model);
    let (pane, number) = (model.current().cursor.pane, event(model));
    match pane {
        Pane::Processors => (0..map_height).for_each(|_| within(model, pane, down)),
        Pane::Parties => (0..parties_height).for_each(|_| within(model, pane, down)),
        Pane::History if down => older(model, number, history_height.into()),
        Pane::History => newer(model, number, history_height.into()),
    }
}

/// Moves by a row, and does not leave this part of the view.
fn within(model: &mut Model, pane: Pane, down: bool) {
    vertical(model, down);
    model.current_mut().cursor.pane = pane;
}

/// Moves to the first or the last item of a part.
fn ends(model: &mut Model, last: bool) {
    let map = Layout::new(model).map;
    let watched = model.current_mut();
    let cursor = &mut watched.cursor;
    match cursor.pane {
        Pane::Processors => {
            let mut ids = map.iter().flat_map(|row| &row.cells).map(|(_, id)| *id);
            cursor.processor = if last { ids.next_back() } else { ids.next() };
        }
        Pane::Parties => {
            cursor.party = if last { watched.parties.len().saturating_sub(1) } else { 0 };
        }
        Pane::History => cursor.event = last.then_some(watched.first),
    }
}

/// Moves to an older event. The cursor then stays there when events come.
fn older(model: &mut Model, number: Option<u64>, by: u64) {
    let watched = model.current_mut();
    watched.cursor.event = number.map(|number| number.saturating_sub(by).max(watched.first));
}

/// Moves to a newer event. At the latest one the cursor follows the events.
fn newer(model: &mut Model, number: Option<u64>, by: u64) {
    let watched = model.current_mut();
    let next = watched.next();
    watched.cursor.event = number.map(|number| number + by).filter(|number| number + 1 < next);
}
