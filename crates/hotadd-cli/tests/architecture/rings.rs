//! Files that use each other, directly or through others: rings of at most five.

use std::collections::BTreeSet;
use std::fs;

use crate::imports::{Crate, Uses};
use crate::root;

/// A longer ring has to be read as a whole before any of its files is understood.
const LONGEST: usize = 5;

#[test]
fn no_ring_of_files_is_longer_than_five() {
    let mut problems = Vec::new();
    let mut crates = 0;
    for entry in fs::read_dir(root().join("crates")).expect("the crates are in a folder") {
        let folder = entry.expect("the folder can be read").path();
        let src = folder.join("src");
        if !src.is_dir() {
            continue;
        }
        crates += 1;
        let uses = Crate::read(&src).uses();
        for knot in knots(&uses) {
            if knot.len() <= LONGEST {
                continue;
            }
            let Some(ring) = longer_ring(&uses, &knot, LONGEST) else { continue };
            let name = folder.file_name().expect("a folder has a name").display();
            let next = ring.iter().cycle().skip(1);
            let arrows = ring
                .iter()
                .zip(next)
                .map(|(from, to)| format!("    {from} uses {to}: {}", uses[from][to]));
            let arrows = arrows.collect::<Vec<_>>().join("\n");
            problems.push(format!(
                "{name}: {} files depend on each other, some in this ring:\n{arrows}",
                knot.len()
            ));
        }
    }
    assert!(crates > 12, "only {crates} crates were read");
    let advice = "move what the lower file needs into a file below it";
    assert!(problems.is_empty(), "{}\n{advice}", problems.join("\n"));
}

/// The sets of files each of which reaches each other (strongly connected components) of two or more.
fn knots(uses: &Uses) -> Vec<BTreeSet<String>> {
    let reached = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut left = vec![from];
        while let Some(next) = left.pop() {
            left.extend(uses[next].keys().filter(|used| seen.insert((*used).clone())));
        }
        seen
    };
    let all: Vec<(&String, BTreeSet<String>)> =
        uses.keys().map(|from| (from, reached(from))).collect();
    let mut knots: Vec<BTreeSet<String>> = Vec::new();
    for (from, to) in &all {
        if to.contains(*from) && !knots.iter().any(|knot| knot.contains(*from)) {
            let back = all
                .iter()
                .filter(|(other, reached)| to.contains(*other) && reached.contains(*from));
            knots.push(back.map(|(other, _)| (*other).clone()).collect());
        }
    }
    knots
}

/// A ring of more than so many different files, if there is one.
fn longer_ring(uses: &Uses, knot: &BTreeSet<String>, longest: usize) -> Option<Vec<String>> {
    fn further<'a>(
        uses: &'a Uses,
        knot: &BTreeSet<String>,
        longest: usize,
        way: &mut Vec<&'a String>,
    ) -> bool {
        let start = way[0];
        let last = *way.last().expect("a way has a start");
        if way.len() > longest && uses[last].contains_key(start) {
            return true;
        }
        for next in uses[last].keys() {
            // Each ring is found from the first of its names.
            if next > start && knot.contains(next) && !way.contains(&next) {
                way.push(next);
                if further(uses, knot, longest, way) {
                    return true;
                }
                way.pop();
            }
        }
        false
    }
    knot.iter().find_map(|start| {
        let (start, _) = uses.get_key_value(start)?;
        let mut way = vec![start];
        further(uses, knot, longest, &mut way).then(|| way.into_iter().cloned().collect())
    })
}

/// A ring that goes through a re-export, a `super` path and a child's name is found; comments and tests count for nothing.
#[test]
fn a_ring_through_a_reexport_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder"))
            .expect("the folder can be made");
        fs::write(path, text).expect("the file can be written");
    };
    write("lib.rs", "mod a;\nmod b;\nmod f;\npub use b::{c::C, D as Renamed};\n");
    write("a.rs", "use crate::C;\n\npub struct A(C);\n");
    write("b/mod.rs", "pub mod c;\nmod d;\npub use d::*;\n");
    write(
        "b/c.rs",
        "pub struct C(super::D);\n// crate::a::A\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n",
    );
    write("b/d.rs", "pub struct D(Box<e::E>);\n\nmod e;\n");
    write("b/d/e.rs", "use crate::f;\n\npub struct E(f::F);\n");
    write("f.rs", "pub struct F(crate::a::A, std::fmt::Error);\n");
    let uses = Crate::read(folder.path()).uses();
    let of = |module: &str| uses[module].keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("a"), ["b::c"]);
    assert_eq!(of("b::c"), ["b::d"]);
    assert_eq!(of("b::d"), ["b::d::e"]);
    assert_eq!(of("b::d::e"), ["f"]);
    assert_eq!(of("f"), ["a"]);
    let knots = knots(&uses);
    assert_eq!(knots.len(), 1);
    assert_eq!(knots[0].len(), 5);
    assert_eq!(longer_ring(&uses, &knots[0], 5), None, "five are allowed");
    let ring = longer_ring(&uses, &knots[0], 4).expect("there is a ring of five");
    assert_eq!(ring, ["a", "b::c", "b::d", "b::d::e", "f"]);
}
