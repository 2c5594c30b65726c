//! A TUI for terminals that show only ASCII: the locale is C or POSIX, or there is none.

use std::env;

use ratatui::buffer::Buffer;

/// Whether text beyond ASCII can be shown. The first of these variables that is set decides, as in every program.
pub(crate) fn is_utf8() -> bool {
    let set = |name| env::var(name).ok().filter(|value: &String| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Replaces every character that is not ASCII. A character that is two columns wide is followed by an empty cell, which stays.
pub(crate) fn in_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if cell.symbol().is_ascii() {
            continue;
        }
        let plain = match cell.symbol() {
            "─" | "–" => "-",
            "·" | "…" => ".",
            "┌" | "┐" | "└" | "┘" | "✓" => "+",
            "│" => "|",
            "✕" => "x",
            "●" => "#",
            "○" => "o",
            "↓" => "v",
            "⠋" | "⠦" => "|",
            "⠙" | "⠸" | "⠧" => "/",
            "⠹" | "⠼" | "⠇" => "-",
            "⠴" | "⠏" => "\\",
            symbol if symbol.chars().all(|c| ('\u{2580}'..='\u{259f}').contains(&c)) => "=",
            _ => "?",
        };
        cell.set_symbol(plain);
    }
}
