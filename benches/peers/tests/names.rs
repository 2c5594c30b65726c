//! The program runs, and the documentation has the tables that it writes: the names of all rows, and the plots. Figures are not
//! compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use hotadd_testing::{Need, skip};

/// The first cells of the rows of each section.
type Names = BTreeMap<String, Vec<String>>;

/// The first cell of each row of all tables in this text. Heads are left out: they also name sizes.
fn rows(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |at: &usize| {
        let is_head = lines.get(at + 1).is_some_and(|next| next.starts_with("|---"));
        lines[*at].starts_with("| ") && !is_head
    };
    let first = |at: usize| lines[at].split(" | ").next().unwrap_or_default();
    (0..lines.len())
        .filter(is_row)
        .map(|at| first(at).trim_start_matches("| ").to_owned())
        .collect()
}

/// What the program prints: `## NAME` and the text of the section.
fn printed(text: &str) -> Names {
    let sections = text.split("## ").skip(1).filter_map(|section| section.split_once('\n'));
    sections.map(|(name, text)| (name.to_owned(), rows(text))).collect()
}

/// What the page has between its markers.
fn written(page: &str) -> Names {
    let sections = page.split("<!-- peers: ").skip(1).filter_map(|rest| rest.split_once(" -->"));
    sections
        .filter(|(name, _)| *name != "end")
        .map(|(name, rest)| {
            let text = rest.split("<!-- peers: end -->").next().unwrap_or_default();
            (name.to_owned(), rows(text))
        })
        .collect()
}

#[test]
fn the_documentation_has_every_row_and_plot_that_the_program_makes() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let ran = Command::new(env!("CARGO_BIN_EXE_hotadd-peers")).arg("--once").output().unwrap();
    let (text, errors) =
        (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "hotadd-peers --once fails: {errors}\n{text}");
    for (shown, need) in [("DPDK", "libdpdk"), ("liburcu", "liburcu"), ("Go", "go")] {
        if text.contains(&format!("{shown} missing")) {
            skip(Need::Program(need), &format!("comparing with {shown}"));
        }
    }

    let page = std::fs::read_to_string(docs.join("performance.md")).unwrap();
    let (printed, written) = (printed(&text), written(&page));
    assert!(
        printed.values().map(Vec::len).sum::<usize>() > 30,
        "few rows are printed: {printed:?}"
    );
    assert_eq!(
        printed, written,
        "docs/performance.md has other rows than the program prints; run benches/peers/run"
    );
    for plot in text.split("](plots/").skip(1).filter_map(|rest| rest.split_once(')')) {
        let path = docs.join("plots").join(plot.0);
        assert!(path.is_file(), "{} is missing; run benches/peers/run", path.display());
        let link = format!("](plots/{})", plot.0);
        assert!(page.contains(&link), "docs/performance.md does not show {}", plot.0);
    }
}

#[test]
fn an_unknown_argument_is_answered_with_the_usage() {
    let ran = Command::new(env!("CARGO_BIN_EXE_hotadd-peers")).arg("--fast").output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).starts_with("usage: hotadd-peers"));
}
