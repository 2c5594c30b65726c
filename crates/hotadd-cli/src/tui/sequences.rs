//! What is written to the terminal: the scroll region, and cells within the TUI's rows.

use std::fmt::Write as _;
use std::io;

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Size;
use ratatui::style::{Color, Modifier};

/// Saves the cursor: its position, and the colours that the command writes in.
const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";
/// Makes the whole screen scroll. Moves the cursor, as every setting of the region does.
const WHOLE: &str = "\x1b[r";
/// One row down in the same column, scrolling at the bottom. A line feed would go to the first column.
const DOWN: &str = "\x0b";
const CLEAR_BELOW: &str = "\x1b[J";
/// Default colours and characters, whatever the command has set.
const PLAIN: &str = "\x1b[0m\x1b(B";

/// Makes room for `rows` rows at the bottom and keeps the scrolling above them.
pub(super) fn open(size: Size, rows: u16) -> Vec<u8> {
    let room = DOWN.repeat(rows.into());
    format!("{room}\x1b[{rows}A{}", region(size, rows)).into_bytes()
}

/// Reserves the rows again after the terminal has changed size. A change of size may leave the old TUI anywhere below the cursor.
pub(super) fn replace(size: Size, rows: u16) -> Vec<u8> {
    let mut bytes = withdraw();
    bytes.extend(open(size, rows));
    bytes
}

/// Removes the TUI and does not move the cursor.
pub(super) fn withdraw() -> Vec<u8> {
    // The cursor's own row belongs to the command. On the last row there is no row below, so the cursor steps down first. One
    // step up is right afterwards even if the screen scrolled, because the text moved up as well.
    format!("{SAVE}{WHOLE}{RESTORE}{DOWN}{SAVE}{PLAIN}\r{CLEAR_BELOW}{RESTORE}\x1b[A").into_bytes()
}

fn region(size: Size, rows: u16) -> String {
    format!("{SAVE}\x1b[1;{}r{RESTORE}", size.height - rows)
}

/// Removes the TUI for good, and moves to the start of a row: the next one if the command's last line is unfinished.
pub(super) fn release(size: Size) -> Vec<u8> {
    // The terminal cannot be asked where the cursor is: the answer would arrive in the command's input. But a row's width of
    // spaces less one ends in the same row only if it starts in the first column.
    let spaces = " ".repeat(usize::from(size.width.saturating_sub(1)));
    format!("{SAVE}{WHOLE}{RESTORE}{PLAIN}\x1b[?7h{spaces}\r{CLEAR_BELOW}\x1b[?25h").into_bytes()
}

/// Draws everything, and sets the scroll region again.
pub(super) fn paint(buffer: &Buffer) -> io::Result<Vec<u8>> {
    let mut bytes = format!("{SAVE}\x1b[1;{}r{PLAIN}", buffer.area.y).into_bytes();
    let cells = all(buffer);
    draw(&mut bytes, &cells)?;
    for y in buffer.area.rows().map(|row| row.y) {
        // Blank cells at the end of a row are erased, not written: rows of spaces would wrap in a narrower window.
        let end = used(buffer, y);
        if end < buffer.area.width {
            bytes.extend(format!("\x1b[{};{}H\x1b[K", y + 1, end + 1).bytes());
        }
    }
    bytes.extend(RESTORE.bytes());
    Ok(bytes)
}

/// Draws the cells that differ.
pub(super) fn update(from: &Buffer, to: &Buffer) -> io::Result<Vec<u8>> {
    let mut bytes = format!("{SAVE}{PLAIN}").into_bytes();
    draw(&mut bytes, &from.diff(to))?;
    bytes.extend(RESTORE.bytes());
    Ok(bytes)
}

fn draw(bytes: &mut Vec<u8>, cells: &[(u16, u16, &Cell)]) -> io::Result<()> {
    CrosstermBackend::new(bytes).draw(cells.iter().copied())
}

/// The rows as text, one after the other. Empty rows are left out.
pub(super) fn text(buffer: &Buffer) -> Vec<u8> {
    let mut text = String::new();
    let mut row = None;
    let mut style = String::new();
    for (_, y, cell) in all(buffer) {
        if row.is_some_and(|row| row != y) {
            text.push_str("\x1b[0m\r\n");
            style.clear();
        }
        row = Some(y);
        let wanted = rendition(cell);
        if wanted != style {
            text.push_str(&wanted);
            style = wanted;
        }
        text.push_str(cell.symbol());
    }
    text.push_str("\x1b[0m\r\n");
    text.into_bytes()
}

/// The escape sequence for a cell's style, limited to the styles that the TUI uses.
fn rendition(cell: &Cell) -> String {
    let mut text = "\x1b[0".to_owned();
    for (modifier, code) in [(Modifier::BOLD, 1), (Modifier::DIM, 2)] {
        if cell.modifier.contains(modifier) {
            let _ = write!(text, ";{code}");
        }
    }
    let colour = match cell.fg {
        Color::Red => ";31",
        Color::Green => ";32",
        Color::Yellow => ";33",
        Color::Cyan => ";36",
        _ => "",
    };
    text + colour + "m"
}

/// Every cell up to the last one in its row that is not blank, without the second halves of wide characters.
fn all(buffer: &Buffer) -> Vec<(u16, u16, &Cell)> {
    // Compared with a character that the TUI never uses, so that all cells differ.
    let other = Buffer::filled(buffer.area, Cell::new("▒"));
    let cells = other.diff(buffer);
    let ends: Vec<_> = buffer.area.rows().map(|row| used(buffer, row.y)).collect();
    cells.into_iter().filter(|&(x, y, _)| x < ends[usize::from(y - buffer.area.y)]).collect()
}

/// How many cells of a row are in use.
fn used(buffer: &Buffer, y: u16) -> u16 {
    let blank = |x: &u16| buffer[(*x, y)].symbol() == " ";
    (buffer.area.left()..buffer.area.right())
        .rev()
        .skip_while(blank)
        .map(|x| x + 1)
        .next()
        .unwrap_or(0)
}
