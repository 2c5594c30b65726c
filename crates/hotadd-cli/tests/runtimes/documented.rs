//! The lines that docs/runtimes.md prints are lines of programs that are tested.

use std::fs;
use std::path::Path;

/// The lines of a text, without those that are empty and without what is before and behind them.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_lines_in_the_documentation_are_those_of_tested_programs() {
    let page = include_str!("../../../../docs/runtimes.md");
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = vec![include_str!("rust.rs").to_owned()];
    for folder in ["../../examples/follow", "tests/runtimes/programs"] {
        for file in fs::read_dir(crate_dir.join(folder)).unwrap() {
            sources.push(fs::read_to_string(file.unwrap().path()).unwrap());
        }
    }
    // Every second part is inside of a fence, and begins with the name of the language.
    let mut blocks = 0;
    for block in page.split("```").skip(1).step_by(2) {
        let block = &lines(block)[1..];
        let is_in = |source: &String| lines(source).windows(block.len()).any(|part| part == block);
        assert!(sources.iter().any(is_in), "no tested program has these lines: {block:#?}");
        blocks += 1;
    }
    assert!(blocks >= 8, "one for each runtime that must be told, but there are {blocks}");
}
