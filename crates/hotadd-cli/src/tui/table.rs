//! A row for each processor, with a column for each driver as long as the columns fit.

use hotadd::HardwareId;
use hotadd_daemon::view::{AnswerCell, ProcessorRow, RowState, View};

use super::canvas::{BAD, BUSY, Canvas, DIM, GOOD, NORMAL, brief, look, rate};

/// The margin at the left.
const MARGIN: u16 = 2;
const GAP: u16 = 2;
const INDEX: u16 = 5;
/// `! uninvited`
const STATE: u16 = 11;
/// `✓ 0.12 ms`
const ANSWER: u16 = 9;
/// The longest driver name that is shown in full in a heading.
const NAME: u16 = 12;
/// `3 ✓ in 0.12 ms`, `✕ name-of-one 0.12 ms`
const SUMMARY: u16 = 22;
/// The minimum width of the last column: a bar and a rate, or the beginning of a reason.
const LAST: u16 = 24;
/// `1234.5 M/s`
const RATE: u16 = 10;
const LONGEST_BAR: u16 = 24;

/// The positions of the columns.
pub(super) struct Table {
    id: u16,
    /// Omitted in a narrow table.
    index: bool,
    answers: Answers,
    /// The highest rate of any processor.
    highest: f64,
}

enum Answers {
    /// A column for each driver.
    Each(Vec<Column>),
    /// One column for all of them.
    Summed,
    /// In the last column, if it is otherwise empty.
    Last,
}

struct Column {
    name: String,
    /// Which of the drivers of that name: names may repeat.
    nth: usize,
    registered: bool,
    width: u16,
}

impl Table {
    pub(super) fn new(view: &View, width: u16, heading: bool) -> Self {
        let highest_id = view.processors.keys().next_back().map_or(0, |id| id.0);
        let id = u16::try_from(highest_id.to_string().len()).unwrap_or(0).max(3);
        let rates = view.rates.iter().flat_map(|rates| rates.values().copied());
        let mut table = Self {
            id,
            index: width >= 60,
            answers: Answers::Last,
            highest: rates.fold(0.0, f64::max),
        };
        let left = width.saturating_sub(table.answers_at() + LAST);
        let columns = columns(view);
        // Without a heading the columns could not be assigned to drivers.
        if heading && columns.iter().map(|column| column.width + GAP).sum::<u16>() <= left {
            table.answers = Answers::Each(columns);
        } else if !columns.is_empty() && SUMMARY + GAP <= left {
            table.answers = Answers::Summed;
        }
        table
    }

    fn index_at(&self) -> u16 {
        MARGIN + self.id + GAP
    }

    fn state_at(&self) -> u16 {
        self.index_at() + if self.index { INDEX + GAP } else { 0 }
    }

    fn answers_at(&self) -> u16 {
        self.state_at() + STATE + GAP
    }
}

/// The drivers that fit into columns: those that are registered, and deregistered ones whose answers are still shown.
fn columns(view: &View) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for driver in &view.drivers {
        let answered =
            |row: &ProcessorRow| row.answers.iter().any(|answer| answer.driver == driver.name);
        if !driver.registered && !view.processors.values().any(answered) {
            continue;
        }
        let nth = columns.iter().filter(|column| column.name == driver.name).count();
        let length = u16::try_from(driver.name.chars().count()).unwrap_or(NAME);
        let width = length.clamp(ANSWER, NAME);
        columns.push(Column {
            name: driver.name.clone(),
            nth,
            registered: driver.registered,
            width,
        });
    }
    columns
}

impl Canvas<'_> {
    pub(super) fn heading(&mut self, y: u16, table: &Table) {
        self.put_right(MARGIN, y, table.id, "cpu", DIM);
        if table.index {
            self.put_right(table.index_at(), y, INDEX, "index", DIM);
        }
        self.put(table.state_at(), y, STATE, "state", DIM);
        let mut x = table.answers_at();
        match &table.answers {
            Answers::Each(columns) => {
                for column in columns {
                    self.put(
                        x,
                        y,
                        column.width,
                        &column.name,
                        if column.registered { NORMAL } else { DIM },
                    );
                    x += column.width + GAP;
                }
            }
            Answers::Summed => {
                self.put(x, y, SUMMARY, "drivers", DIM);
                x += SUMMARY + GAP;
            }
            Answers::Last => {}
        }
        if self.view.rates.is_some() {
            self.put(x, y, LAST, "throughput", DIM);
        }
    }

    pub(super) fn row(&mut self, y: u16, table: &Table, id: HardwareId, row: &ProcessorRow) {
        let (symbol, word, style) = look(row.state);
        self.put_right(MARGIN, y, table.id, &id.to_string(), NORMAL);
        if table.index {
            let index = row.index.map_or_else(|| "–".to_owned(), |index| index.to_string());
            let style = if row.index.is_some() { NORMAL } else { DIM };
            self.put_right(table.index_at(), y, INDEX, &index, style);
        }
        self.put(table.state_at(), y, STATE, symbol, style);
        self.put(table.state_at() + 2, y, STATE - 2, word, style);
        let mut x = table.answers_at();
        match &table.answers {
            Answers::Each(columns) => {
                for column in columns {
                    self.answer(x, y, column, id, row);
                    x += column.width + GAP;
                }
                self.last(x, y, table, id, row);
            }
            Answers::Summed => {
                self.summary(x, y, id, row);
                self.last(x + SUMMARY + GAP, y, table, id, row);
            }
            Answers::Last => {
                if !self.last(x, y, table, id, row) {
                    self.answers(x, y, id, row);
                }
            }
        }
    }

    /// One driver's answer in its column, or how long the answer has taken so far.
    fn answer(&mut self, x: u16, y: u16, column: &Column, id: HardwareId, row: &ProcessorRow) {
        let mut its = row.answers.iter().filter(|answer| answer.driver == column.name);
        let given = its.clone().count();
        if let Some(answer) = its.nth(column.nth) {
            let x = self.mark(x, y, answer);
            self.put(x + 1, y, column.width - 2, &brief(answer.took), DIM);
        } else if given == column.nth && self.asked(id, row).is_some_and(|name| name == column.name)
        {
            let (mark, time) = self.hourglass();
            self.put(x, y, 1, mark, BUSY);
            self.put(x + 2, y, column.width - 2, &time, BUSY);
        }
    }

    /// All answers in one column.
    fn summary(&mut self, x: u16, y: u16, id: HardwareId, row: &ProcessorRow) {
        if let Some(name) = self.asked(id, row) {
            let (mark, time) = self.hourglass();
            self.put(x, y, 1, mark, BUSY);
            let end = self.put(x + 2, y, NAME, &name, BUSY);
            self.put(end + 1, y, ANSWER - 2, &time, BUSY);
        } else if let Some(refusal) = row.answers.iter().find(|answer| !answer.agreed) {
            let end = self.mark(x, y, refusal);
            let end = self.put(end + 1, y, NAME, &refusal.driver, NORMAL);
            self.put(end + 1, y, ANSWER - 2, &brief(refusal.took), DIM);
        } else if !row.answers.is_empty() {
            let end = self.put(x, y, 1, "✓", GOOD);
            let text = format!(
                "{} in {}",
                row.answers.len(),
                brief(row.answers.iter().map(|a| a.took).sum())
            );
            self.put(end + 1, y, SUMMARY - 2, &text, DIM);
        }
    }

    /// All answers one after the other, as far as there is room.
    fn answers(&mut self, mut x: u16, y: u16, id: HardwareId, row: &ProcessorRow) {
        for answer in &row.answers {
            x = self.put(x, y, u16::MAX, &answer.driver, NORMAL) + 1;
            x = self.mark(x, y, answer) + 1;
            x = self.put(x, y, u16::MAX, &brief(answer.took), DIM) + GAP;
        }
        if let Some(name) = self.asked(id, row) {
            let (mark, time) = self.hourglass();
            self.put(x, y, u16::MAX, &format!("{name} {mark} {time}"), BUSY);
        }
    }

    fn mark(&mut self, x: u16, y: u16, answer: &AnswerCell) -> u16 {
        let (mark, style) = if answer.agreed { ("✓", GOOD) } else { ("✕", BAD) };
        self.put(x, y, 1, mark, style)
    }

    /// The driver that this processor waits for.
    fn asked(&self, id: HardwareId, row: &ProcessorRow) -> Option<String> {
        let waiting = self.view.waiting.as_ref().filter(|waiting| waiting.id == id)?;
        (row.state == RowState::Asking).then(|| waiting.driver.clone())
    }

    /// The bar and the reason, or how long it took. Returns whether anything was drawn.
    fn last(&mut self, x: u16, y: u16, table: &Table, id: HardwareId, row: &ProcessorRow) -> bool {
        let mut x = x;
        let its_rate =
            self.view.rates.as_ref().and_then(|rates| rates.get(&id)).filter(|rate| **rate > 0.0);
        if let Some(&its_rate) = its_rate {
            x = self.bar(x, y, its_rate / table.highest, row.why.is_some());
            self.put_right(x + 1, y, RATE, &rate(its_rate), NORMAL);
            x += 1 + RATE + GAP;
        }
        if let Some(why) = &row.why {
            let style = if row.state == RowState::Active { DIM } else { NORMAL };
            self.put(x, y, u16::MAX, why, style);
        } else if let (Some(took), None) = (row.took, its_rate) {
            let verb = match row.state {
                RowState::Active | RowState::Uninvited => "joined",
                RowState::Left => "left",
                _ => return false,
            };
            self.put(x, y, u16::MAX, &format!("{verb} in {}", brief(took)), DIM);
        }
        its_rate.is_some() || row.why.is_some() || row.took.is_some()
    }

    /// Returns the column behind the longest bar.
    fn bar(&mut self, x: u16, y: u16, part: f64, short: bool) -> u16 {
        const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        let room = self.buffer.area.right().saturating_sub(x + 1 + RATE + 1);
        let width = room.min(if short { 6 } else { LONGEST_BAR });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 8 x 24"
        )]
        let eighths = (part.clamp(0.0, 1.0) * 8.0 * f64::from(width)).round() as usize;
        let text = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
        self.put(x, y, width, &text, GOOD);
        x + width
    }
}
