//! The picture of a run in the README shows what a run does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use hotadd_testing::{Need, skip};

/// What a picture shows, without places and widths, which depend on times: its words, and how many bars there are of each kind.
fn content(svg: &str) -> BTreeMap<String, usize> {
    let mut content = BTreeMap::new();
    for line in svg.lines() {
        let what = if line.starts_with("<text ") {
            line.split(['>', '<']).nth(2)
        } else if line.starts_with("<rect ") {
            line.split("class=\"").nth(1).and_then(|rest| rest.split('"').next())
        } else {
            None
        };
        if let Some(what) = what {
            *content.entry(what.to_owned()).or_default() += 1;
        }
    }
    content
}

#[test]
fn the_picture_in_the_readme_is_what_its_script_draws_from_a_run() {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures");
    if Command::new("python3").arg("--version").output().is_err() {
        skip(Need::Program("python3"), "the picture of a run");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let drawn = folder.path().join("run.svg");
    let mut script = Command::new("python3");
    script.arg(pictures.join("run")).arg(env!("CARGO_BIN_EXE_hotadd")).arg(&drawn);
    let output = script.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let committed = fs::read_to_string(pictures.join("run.svg")).unwrap();
    let committed = content(&committed);
    assert!(committed.contains_key("refused by counters: not started"), "{committed:?}");
    assert_eq!(
        committed,
        content(&fs::read_to_string(drawn).unwrap()),
        "run docs/pictures/run again"
    );
    assert!(fs::metadata(pictures.join("run.svg")).unwrap().len() < 40_000, "it loads quickly");
}
