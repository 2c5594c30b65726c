//! Each fuzz target has what it needs. `./test` builds the targets as programs of this test, because cargo gives their dependencies the
//! features that the tests' have only if it builds tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of the files in a folder, without their endings.
fn names(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn each_target_is_built_has_a_corpus_and_is_on_the_page() {
    let manifest = include_str!("../Cargo.toml");
    let page = include_str!("../../docs/fuzzing.md");
    let targets = names("fuzz_targets");
    assert_eq!(names("corpus"), targets, "each has a corpus, and each corpus a target");
    for target in &targets {
        let built = format!("name = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"\n");
        assert!(manifest.contains(&built), "{target} is not in fuzz/Cargo.toml");
        assert!(page.contains(&format!("\n| `{target}` | ")), "{target} is not in docs/fuzzing.md");
    }
}
