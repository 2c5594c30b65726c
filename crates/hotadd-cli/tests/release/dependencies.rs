//! docs/dependencies.md has a reason for every dependency.

use std::collections::{BTreeMap, BTreeSet};

use crate::{packages, read, text};

/// The users of each dependency, as the page names them.
type Users = BTreeMap<String, BTreeSet<String>>;

/// Those that the manifests name.
fn named() -> Users {
    let own: BTreeSet<&str> = packages(true).map(|package| text(package, "name")).collect();
    let mut users: BTreeMap<String, BTreeMap<&str, bool>> = BTreeMap::new();
    for package in packages(true) {
        let user = text(package, "name");
        let user = user.strip_prefix("hotadd-").unwrap_or(user);
        for dependency in package["dependencies"].as_array().unwrap() {
            if own.contains(text(dependency, "name")) {
                continue;
            }
            let needs = users.entry(text(dependency, "name").to_owned()).or_default();
            *needs.entry(user).or_default() |= dependency["kind"] != "dev";
        }
    }
    let as_shown = |(user, always): (&str, bool)| {
        if always { user.to_owned() } else { format!("({user})") }
    };
    users.into_iter().map(|(name, of)| (name, of.into_iter().map(as_shown).collect())).collect()
}

/// The rows of the page: a name, its users, a reason.
fn rows() -> Vec<(String, BTreeSet<String>, String)> {
    let page = read("docs/dependencies.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_end_matches(" |").splitn(3, " | ").collect();
        let [name, users, reason] = cells[..] else { panic!("{row:?} has no three columns") };
        let users = users.split(", ").map(str::to_owned).collect();
        (name.trim_end_matches('`').to_owned(), users, reason.to_owned())
    })
    .collect()
}

#[test]
fn every_dependency_has_a_reason_and_its_users_in_the_page() {
    let (named, rows) = (named(), rows());
    let shown: Users = rows.iter().map(|(name, users, _)| (name.clone(), users.clone())).collect();
    for (name, users) in &named {
        let row = shown.get(name).unwrap_or_else(|| {
            panic!("docs/dependencies.md has no reason for {name}, used by {users:?}")
        });
        assert_eq!(row, users, "the users of {name}: docs/dependencies.md, and the manifests");
    }
    for (name, _, reason) in &rows {
        assert!(
            named.contains_key(name),
            "no manifest names {name} any more; remove it from docs/dependencies.md"
        );
        assert!(
            reason.len() > 10 && reason.ends_with('.'),
            "the reason for {name} is not a sentence: {reason:?}"
        );
    }
    let names: Vec<_> = rows.iter().map(|(name, ..)| name).collect();
    assert!(names.is_sorted() && names.len() == named.len(), "each once, in order: {names:?}");
}
