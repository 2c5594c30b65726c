//! Which packages are published, and what their READMEs link to. `.ci/crates` checks the contents of the packages.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::{packages, root, text};

/// The names of the published packages.
fn published() -> BTreeSet<&'static str> {
    // `publish = false` becomes an empty list of registries.
    packages(true)
        .filter(|package| package["publish"].is_null())
        .map(|package| text(package, "name"))
        .collect()
}

#[test]
fn helpers_of_tests_are_not_published_and_everything_else_is() {
    let folders = std::fs::read_dir(root().join("crates")).unwrap().map(Result::unwrap);
    let names = folders.map(|folder| folder.file_name().into_string().unwrap());
    let expected: BTreeSet<String> = names.filter(|name| name.starts_with("hotadd")).collect();
    assert_eq!(
        published().iter().copied().collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
}

#[test]
fn each_package_is_published_after_those_that_it_needs() {
    let output = Command::new(root().join(".ci/crates")).arg("order").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let order = String::from_utf8(output.stdout).unwrap();
    let order: Vec<_> = order.lines().collect();
    assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), published());
    assert_eq!(order.len(), published().len(), "{order:?}");
    let place = |name: &str| order.iter().position(|other| *other == name);
    for package in packages(true).filter(|package| package["publish"].is_null()) {
        for dependency in package["dependencies"].as_array().unwrap() {
            let (user, needed) = (text(package, "name"), text(dependency, "name"));
            let published_too = dependency["req"] != "*";
            if let Some(needed) = place(needed).filter(|_| published_too) {
                assert!(place(user).unwrap() > needed, "{user} before {}", order[needed]);
            }
        }
    }
}

#[test]
fn links_of_the_packages_readmes_into_the_repository_lead_to_files() {
    let mut links = 0;
    for package in packages(true).filter(|package| package["publish"].is_null()) {
        let folder = Path::new(text(package, "manifest_path")).parent().unwrap();
        let page = std::fs::read_to_string(folder.join("README.md")).unwrap();
        let repository = format!("{}/blob/main/", text(package, "repository"));
        for link in page.split(&repository).skip(1) {
            let path = link.split([')', '#']).next().unwrap();
            assert!(root().join(path).is_file(), "{}: there is no {path}", package["name"]);
            links += 1;
        }
        // A page of crates.io has no files beside it.
        let relative = page.split("](").skip(1).find(|link| !link.starts_with("https://"));
        assert_eq!(relative, None, "{}: a link must be complete", package["name"]);
    }
    assert!(links > 10, "{links}");
}
