//! What is written to the terminal: the scroll region, and cells within the TUI's rows.

use std::fmt::Write as _;
use std::io;

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Size;
use ratatui::style::{Color, Modifier};

/// Save the cursor: where it is, and the colours the command writes in.
const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";
/// The whole screen scrolls. Moves the cursor, as every setting of the region does.
const WHOLE: &str = "\x1b[r";
/// One row down in the same column, scrolling at the bottom. A line feed would go to the first column.
const DOWN: &str = "\x0b";
const CLEAR_BELOW: &str = "\x1b[J";
/// Ordinary colours and letters, whatever the command has chosen.
const PLAIN: &str = "\x1b[0m\x1b(B";

/// Makes room for `rows` rows at the bottom and keeps the scrolling above them.
pub(super) fn open(size: Size, rows: u16) -> Vec<u8> {
    let room = DOWN.repeat(rows.into());
    format!("{room}\x1b[{rows}A{}", region(size, rows)).into_bytes()
}

/// Does it again after the terminal has changed size, which leaves an old TUI anywhere below the cursor.
pub(super) fn replace(size: Size, rows: u16) -> Vec<u8> {
    let mut bytes = withdraw();
    bytes.extend(open(size, rows));
    bytes
}

/// Removes the TUI and leaves the cursor where it is.
pub(super) fn withdraw() -> Vec<u8> {
    // The cursor's own row is the command's. On the last row there is nothing below, hence the step down; one up again
    // is right even if it scrolled, because the text went up as well.
    format!("{SAVE}{WHOLE}{RESTORE}{DOWN}{SAVE}{PLAIN}\r{CLEAR_BELOW}{RESTORE}\x1b[A").into_bytes()
}

fn region(size: Size, rows: u16) -> String {
    format!("{SAVE}\x1b[1;{}r{RESTORE}", size.height - rows)
}

/// Removes the TUI for good, and goes to the start of a row: the next one if the command left its last unfinished.
pub(super) fn release(size: Size) -> Vec<u8> {
    // Nobody can be asked where the cursor is, as the answer would come in with the command's input. But a row's width
    // of spaces less one ends in the same row only if it began in the first column.
    let spaces = " ".repeat(usize::from(size.width.saturating_sub(1)));
    format!("{SAVE}{WHOLE}{RESTORE}{PLAIN}\x1b[?7h{spaces}\r{CLEAR_BELOW}\x1b[?25h").into_bytes()
}

/// Draws all of it, and sets the scroll region again.
pub(super) fn paint(buffer: &Buffer) -> io::Result<Vec<u8>> {
    let mut bytes = format!("{SAVE}\x1b[1;{}r{PLAIN}", buffer.area.y).into_bytes();
    let cells = all(buffer);
    draw(&mut bytes, &cells)?;
    for y in buffer.area.rows().map(|row| row.y) {
        // What is blank at the end of a row is erased, not written: rows of spaces would be wrapped in a narrower
        // window.
        let end = used(buffer, y);
        if end < buffer.area.width {
            bytes.extend(format!("\x1b[{};{}H\x1b[K", y + 1, end + 1).bytes());
        }
    }
    bytes.extend(RESTORE.bytes());
    Ok(bytes)
}

/// Draws what differs.
pub(super) fn update(from: &Buffer, to: &Buffer) -> io::Result<Vec<u8>> {
    let mut bytes = format!("{SAVE}{PLAIN}").into_bytes();
    draw(&mut bytes, &from.diff(to))?;
    bytes.extend(RESTORE.bytes());
    Ok(bytes)
}

fn draw(bytes: &mut Vec<u8>, cells: &[(u16, u16, &Cell)]) -> io::Result<()> {
    CrosstermBackend::new(bytes).draw(cells.iter().copied())
}

/// The rows one after the other as text. Empty ones are left out.
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

/// The escape sequence for a cell's style, as far as the TUI has use for it.
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

/// Every cell up to the last in its row that is not blank, without the second halves of wide characters.
fn all(buffer: &Buffer) -> Vec<(u16, u16, &Cell)> {
    // Compared with something that is nowhere on a TUI.
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
