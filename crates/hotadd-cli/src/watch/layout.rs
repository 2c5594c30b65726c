//! [`Layout`]: how many rows each part of the view has.

use ratatui::layout::Size;

use super::map::{self, Row};
use super::model::{Model, Watched};
use crate::tui::canvas::wrap;

/// The smallest terminal that has room for the view.
pub(super) const SMALLEST: Size = Size { width: 40, height: 10 };

/// The title, three headings, the line about a processor, and the keys.
const FIXED: u16 = 6;

/// The rows of the last message.
const MOST_OF_MESSAGE: usize = 3;

/// How many rows each part has.
pub(super) struct Layout {
    /// All rows of the map.
    pub(super) map: Vec<Row>,
    pub(super) map_height: u16,
    pub(super) parties_height: u16,
    pub(super) history_height: u16,
    /// The last message.
    pub(super) message: Vec<String>,
}

impl Layout {
    pub(super) fn new(model: &Model) -> Self {
        let watched = model.current();
        let Size { width, height } = model.size;
        let map = map::rows(watched, width);
        let message = message(watched, width);
        let taken = FIXED + u16::try_from(message.len()).unwrap_or(0);
        let left = height.saturating_sub(taken).max(3);
        let count = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).max(1);
        let (rows, parties) = (count(map.len()), count(watched.parties.len()));
        let both = left - (left / 3).max(1);
        // Each may have half, and what the other one leaves.
        let map_height = rows.min((both - parties.min(both / 2)).max(1));
        let parties_height = parties.min((both.saturating_sub(map_height)).max(1));
        let history_height = left.saturating_sub(map_height + parties_height).max(1);
        Self { map, map_height, parties_height, history_height, message }
    }
}

fn message(watched: &Watched, width: u16) -> Vec<String> {
    let Some(message) = &watched.message else { return vec![String::new()] };
    let mut rows = wrap(&message.text, width.saturating_sub(2));
    if rows.len() > MOST_OF_MESSAGE {
        rows.truncate(MOST_OF_MESSAGE);
        if let Some(last) = rows.last_mut() {
            last.push('…');
        }
    }
    rows
}

/// Which item of a list is the first to be shown, so that the chosen one is visible, in the middle if possible.
pub(super) fn scrolled(length: usize, height: u16, chosen: usize) -> usize {
    let height = usize::from(height);
    chosen.saturating_sub(height / 2).min(length.saturating_sub(height))
}
