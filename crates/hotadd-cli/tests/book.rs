//! The pages of the documentation: every link leads somewhere, the book's contents list each page, and translations are up to date.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Pages beside those in docs/.
const OTHERS: [&str; 8] = [
    "README.md",
    "README.ja.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "examples/rust-driver/README.md",
    "python/README.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The pages in a folder and the folders in it.
fn pages_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { pages_in(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

fn pages() -> Vec<PathBuf> {
    let root = root();
    let mut pages = pages_in(&root.join("docs"));
    pages.extend(OTHERS.map(|name| root.join(name)));
    pages
}

/// A page's lines outside of code blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

/// The anchors of a page's headings, as Git hosts and mdBook make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, u32>::new();
    let headings = prose(page).filter(|line| line.starts_with('#'));
    let anchors = headings.map(|line| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let times = seen.entry(anchor.clone()).or_default();
        *times += 1;
        if *times == 1 { anchor } else { format!("{anchor}-{}", *times - 1) }
    });
    anchors.collect()
}

/// The targets of a page's links and pictures.
fn links(page: &str) -> Vec<String> {
    // A picture's text may have several lines.
    let text = prose(page).collect::<Vec<_>>().join("\n");
    let mut plain = String::new();
    // Text in backticks is not a link.
    for (n, part) in text.split('`').enumerate() {
        plain += if n % 2 == 0 { part } else { "code" };
    }
    let targets = plain.split("](").skip(1);
    targets.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in pages() {
        let page = read(&path);
        for link in links(&page).into_iter().filter(|link| !link.contains("://")) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let to = if file.is_empty() {
                path.clone()
            } else {
                normal(&path.parent().unwrap().join(file))
            };
            let is_there = to.exists() && to.starts_with(root());
            let is_heading = || anchors(&read(&to)).contains(anchor);
            if !is_there || !anchor.is_empty() && !is_heading() {
                wrong.push(format!("{}: {link}", path.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "these links lead nowhere: {wrong:#?}");
    assert!(count > 100, "only {count} links were found");
}

/// The commands in a page's text, such as `hotadd add 1`.
fn commands_in_text(page: &str) -> Vec<String> {
    let text = prose(page).collect::<Vec<_>>().join("\n");
    let code = text.split('`').skip(1).step_by(2);
    code.filter(|code| code.starts_with("hotadd ")).map(str::to_owned).collect()
}

#[test]
fn every_command_in_the_text_has_a_subcommand_and_options_that_exist() {
    let mut helps = BTreeMap::<String, String>::new();
    let mut count = 0;
    for path in pages().into_iter().filter(|path| !path.ends_with("CHANGELOG.md")) {
        for command in commands_in_text(&read(&path)) {
            // What follows `--` is another program's.
            let own = command.split(" -- ").next().unwrap_or_default();
            let words: Vec<&str> = own.split_whitespace().collect();
            let help = helps.entry(words[1].to_owned()).or_insert_with(|| {
                let output = common::output(&[words[1], "--help"]);
                common::stdout(&output)
            });
            let place = path.strip_prefix(root()).unwrap().display();
            assert!(
                words[1].starts_with('-') || !help.is_empty(),
                "{place}: no subcommand: {command}"
            );
            for option in words[2..].iter().filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap_or_default();
                assert!(help.contains(option), "{place}: no option {option}: {command}");
            }
            count += 1;
        }
    }
    assert!(count > 50, "only {count} commands were found");
}

#[test]
fn the_contents_of_the_book_list_every_page_once() {
    let docs = root().join("docs");
    let listed = links(&read(&docs.join("SUMMARY.md")));
    let mut listed: Vec<_> = listed.iter().map(|link| docs.join(link)).collect();
    listed.sort();
    let mut pages = pages_in(&docs);
    pages.retain(|page| !page.ends_with("SUMMARY.md"));
    pages.sort();
    assert_eq!(listed, pages, "docs/SUMMARY.md lists every page of docs/ once");
}

#[test]
fn the_japanese_readme_has_the_code_blocks_of_the_english_one() {
    let blocks = |name: &str| -> Vec<String> {
        let page = read(&root().join(name));
        page.split("```").skip(1).step_by(2).map(str::to_owned).collect()
    };
    let (english, japanese) = (blocks("README.md"), blocks("README.ja.md"));
    for (english, japanese) in english.iter().zip(&japanese) {
        assert_eq!(english, japanese, "README.ja.md is a translation of README.md");
    }
    assert_eq!(
        english.len(),
        japanese.len(),
        "README.ja.md has a block more or less than README.md"
    );
}
