//! The compact form, for more processors than there are rows: the number of processors in each state, a grid with a mark for each
//! processor or for a few of them, and rows for those with a problem.

use std::cmp::Reverse;

use hotadd::HardwareId;
use hotadd_daemon::view::{ProcessorRow, RowState, View};
use ratatui::style::Style;

use super::canvas::{Canvas, DIM, GOOD, look};
use super::table::Table;

/// The most rows for single processors, however much room there is.
const DETAILS: u16 = 8;
/// The margin left of the grid's labels, which are the numbers of the first processor in each row.
const MARGIN: u16 = 2;
/// The order in which states are counted, and in which a state is chosen to represent a group.
const ORDER: [RowState; 6] = [
    RowState::Asking,
    RowState::Uninvited,
    RowState::Refused,
    RowState::Left,
    RowState::Active,
    RowState::Spare,
];

#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// The number of processors that a mark represents.
    each: usize,
    /// The number of marks in a row.
    marks: usize,
    /// The number of rows of marks.
    grid: u16,
    /// The number of rows of single processors, with a heading if there are more than two.
    details: u16,
}

impl Plan {
    pub(super) fn new(view: &View, width: u16, height: u16) -> Self {
        let label = label(view);
        // A multiple of eight is easier to count in.
        let marks = usize::from((width.saturating_sub(MARGIN + label + 2 + MARGIN) / 8 * 8).max(8));
        let left = height.saturating_sub(1);
        // At least two rows in five are left for single processors, up to the most rows that these may have.
        let most = usize::from((left - DETAILS.min(left * 2 / 5)).max(1));
        let rows = |each: usize| view.processors.len().div_ceil(each).div_ceil(marks);
        let mut each = 1;
        while rows(each) > most {
            each *= 2;
        }
        let grid = u16::try_from(rows(each)).unwrap_or(left).min(left);
        Self { each, marks, grid, details: (left - grid).min(DETAILS) }
    }

    pub(super) fn height(&self) -> u16 {
        1 + self.grid + self.details
    }
}

fn label(view: &View) -> u16 {
    let highest = view.processors.keys().next_back().map_or(0, |id| id.0);
    u16::try_from(highest.to_string().len()).unwrap_or(0).max(3)
}

impl Canvas<'_> {
    /// Draws the compact form from row `y` on and returns the row below.
    pub(super) fn crowd(&mut self, y: u16, plan: &Plan) -> u16 {
        self.counts(y, plan);
        let label = label(self.view);
        let processors: Vec<_> = self.view.processors.iter().collect();
        let groups: Vec<_> = processors.chunks(plan.each).collect();
        for (marks, y) in groups.chunks(plan.marks).zip(y + 1..).take(plan.grid.into()) {
            self.put_right(MARGIN, y, label, &marks[0][0].0.to_string(), DIM);
            for (group, x) in marks.iter().zip(MARGIN + label + 2..) {
                let (symbol, style) = mark(group);
                self.put(x, y, 1, symbol, style);
            }
        }
        let y = y + 1 + plan.grid;
        self.details(y, plan.details);
        y + plan.details
    }

    fn counts(&mut self, y: u16, plan: &Plan) {
        let mut x = MARGIN;
        if plan.each > 1 {
            x = self.put(x, y, u16::MAX, &format!("{} per mark", plan.each), DIM) + 2;
        }
        for state in
            [RowState::Active, RowState::Spare].into_iter().chain(ORDER.into_iter().take(4))
        {
            let count = self.view.processors.values().filter(|row| row.state == state).count();
            if count > 0 {
                let (symbol, word, style) = look(state);
                x = self.put(x, y, u16::MAX, &format!("{symbol} {count} {word}"), style) + 2;
            }
        }
    }

    /// Processors that are being asked about come first, then those that were refused or joined without agreement, then those
    /// that changed last.
    fn details(&mut self, y: u16, rows: u16) {
        let memory = self.memory;
        let key = |(id, row): &(HardwareId, &ProcessorRow)| {
            let trouble = match row.state {
                RowState::Asking => 2,
                RowState::Refused | RowState::Uninvited => 1,
                _ => 0,
            };
            Reverse((trouble, memory.changed(*id)))
        };
        let view = self.view;
        let mut all: Vec<_> = view.processors.iter().map(|(&id, row)| (id, row)).collect();
        all.retain(|one| key(one) != Reverse((0, 0)));
        all.sort_by_key(key);
        let heading = rows > 2 && !all.is_empty();
        let table = Table::new(view, self.buffer.area.width, heading);
        if heading {
            self.heading(y, &table);
        }
        let heading = u16::from(heading);
        for ((id, row), y) in all.into_iter().zip(y + heading..y + rows) {
            self.row(y, &table, id, row);
        }
    }
}

/// The mark of a group of processors: the most important state among them.
fn mark(group: &[(&HardwareId, &ProcessorRow)]) -> (&'static str, Style) {
    let has = |state: &RowState| group.iter().any(|(_, row)| row.state == *state);
    let first = ORDER.into_iter().find(has).unwrap_or(RowState::Spare);
    if first == RowState::Active && has(&RowState::Spare) {
        return ("◐", GOOD);
    }
    let (symbol, _, style) = look(first);
    (symbol, style)
}
