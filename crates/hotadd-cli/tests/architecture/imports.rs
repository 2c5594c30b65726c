//! Which file of a crate uses which: read from its `use` declarations and paths.
//!
//! A path is followed through re-exports to the file that has the item. Tests and comments are not read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::rust_files;

/// A path in the code, as its segments.
type Segments = Vec<String>;

/// A module that is a file.
struct Module {
    /// What the names of its `use` declarations stand for: paths from the crate's root, or nothing if another crate has it.
    names: BTreeMap<String, Option<Segments>>,
    /// Its globs (`use path::*`).
    globs: Vec<Segments>,
    code: String,
}

/// The files of one crate by their modules' paths.
pub(crate) struct Crate {
    modules: BTreeMap<Segments, Module>,
}

/// Which module uses which others, and a path by which it does.
pub(crate) type Uses = BTreeMap<String, BTreeMap<String, String>>;

impl Crate {
    pub(crate) fn read(src: &Path) -> Self {
        let mut modules = BTreeMap::new();
        for file in rust_files(src) {
            let inside = file.strip_prefix(src).expect("it was found there").with_extension("");
            let mut path: Segments = inside
                .iter()
                .map(|part| part.to_str().expect("names are ASCII").to_owned())
                .collect();
            if path.last().is_some_and(|last| matches!(&**last, "mod" | "lib" | "main")) {
                path.pop();
            }
            if path.iter().any(|part| matches!(&**part, "tests" | "bin")) {
                continue;
            }
            let code =
                without_comments_and_tests(&fs::read_to_string(&file).expect("it was listed"));
            let mut module = Module { names: BTreeMap::new(), globs: Vec::new(), code };
            for (used, name) in declarations(&module.code) {
                let used = from_root(&path, &used).or_else(|| {
                    let declared = |first| module.code.contains(&format!("mod {first};"));
                    used.first().is_some_and(declared).then(|| [&*path, &used].concat())
                });
                if name == "*" {
                    module.globs.extend(used);
                } else {
                    module.names.insert(name, used);
                }
            }
            modules.insert(path, module);
        }
        let of_tests = modules.iter().flat_map(|(path, module): (&Segments, &Module)| {
            let lines = module.code.lines().zip(module.code.lines().skip(1));
            let tests =
                lines.filter(|(above, _)| above.starts_with("#[cfg(") && above.contains("test"));
            let names = tests.filter_map(|(_, line)| {
                line.trim_start_matches("pub(crate) ").strip_prefix("mod ")
            });
            names
                .map(|name| [&**path, &[name.trim_end_matches(';').to_owned()]].concat())
                .collect::<Vec<_>>()
        });
        let of_tests: Vec<_> = of_tests.collect();
        modules.retain(|path, _| !of_tests.iter().any(|test| path.starts_with(test)));
        Self { modules }
    }

    pub(crate) fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for (path, module) in &self.modules {
            let own = uses.entry(name_of(path)).or_default();
            for written in paths(&module.code) {
                let found = self.full_path(path, module, &written);
                let Some(file) = found.and_then(|full| self.file_of(&full, 0)) else { continue };
                if file != *path {
                    own.entry(name_of(&file)).or_insert_with(|| written.join("::"));
                }
            }
        }
        uses
    }

    /// The path from the crate's root of a path in a module's code.
    fn full_path(&self, path: &Segments, module: &Module, written: &Segments) -> Option<Segments> {
        let (first, rest) = written.split_first()?;
        // `pub(crate)` uses nothing.
        if let (Some(full), false) = (from_root(path, written), rest.is_empty()) {
            return Some(full);
        }
        if let Some(full) = module.names.get(first) {
            return full.as_ref().map(|full| [full, rest].concat());
        }
        let child = [path, std::slice::from_ref(first)].concat();
        (!rest.is_empty() && self.modules.contains_key(&child)).then(|| [&child, rest].concat())
    }

    /// The file that has the item of a path. A re-export is followed.
    fn file_of(&self, full: &[String], followed: u8) -> Option<Segments> {
        let length =
            (0..=full.len()).rev().find(|&length| self.modules.contains_key(&full[..length]))?;
        let (file, rest) = full.split_at(length);
        let module = &self.modules[file];
        if let (Some((first, rest)), 0..8) = (rest.split_first(), followed) {
            if let Some(used) = module.names.get(first) {
                return self.file_of(&[used.as_ref()?, rest].concat(), followed + 1);
            }
            let defines = |module: &Module| defines(&module.code, first);
            if !defines(module) {
                let mut globs =
                    module.globs.iter().filter_map(|glob| self.file_of(glob, followed + 1));
                if let Some(file) = globs.find(|file| defines(&self.modules[file])) {
                    return Some(file);
                }
            }
        }
        Some(file.to_vec())
    }
}

fn name_of(path: &[String]) -> String {
    if path.is_empty() { "the root".to_owned() } else { path.join("::") }
}

/// A path that begins with `crate`, `self` or `super`, from the root.
fn from_root(module: &[String], written: &[String]) -> Option<Segments> {
    let mut base = match &**written.first()? {
        "crate" => Segments::new(),
        "self" | "super" => module.to_vec(),
        _ => return None,
    };
    let mut rest = &written[1..];
    if written[0] == "super" {
        base.pop();
        while let Some((first, others)) = rest.split_first().filter(|(first, _)| *first == "super")
        {
            let _ = first;
            base.pop();
            rest = others;
        }
    }
    base.extend_from_slice(rest);
    Some(base)
}

fn defines(code: &str, name: &str) -> bool {
    [
        "fn ",
        "struct ",
        "enum ",
        "trait ",
        "type ",
        "const ",
        "static ",
        "mod ",
        "macro_rules! ",
        "union ",
    ]
    .iter()
    .any(|kind| {
        code.match_indices(&format!("{kind}{name}")).any(|(at, found)| {
            !code[at + found.len()..]
                .starts_with(|next: char| next.is_alphanumeric() || next == '_')
        })
    })
}

fn without_comments_and_tests(text: &str) -> String {
    let code = text.split("\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The code without those lines that begin so, each to its semicolon.
fn without(code: &str, begins: impl Fn(&str) -> bool) -> String {
    let mut rest = String::new();
    let mut inside = false;
    for line in code.lines() {
        inside |= begins(line.trim_start());
        if !inside {
            rest.push_str(line);
            rest.push('\n');
        }
        inside &= !line.contains(';');
    }
    rest
}

/// The `use` declarations: each path, and the name that it gives.
fn declarations(code: &str) -> Vec<(Segments, String)> {
    let mut all = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let line = code[..at].rsplit('\n').next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with("pub") {
            let tree = code[at + 4..].split(';').next().unwrap_or_default();
            branches(&[], tree, &mut all);
        }
    }
    all
}

/// Adds the paths of a `use` tree.
fn branches(before: &[String], tree: &str, all: &mut Vec<(Segments, String)>) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let head = head.trim().trim_end_matches("::");
        let base = [before, &segments(head)].concat();
        let inside = group.trim_end().strip_suffix('}').unwrap_or(group);
        let (mut depth, mut from) = (0, 0);
        for (at, sign) in inside.char_indices() {
            match sign {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    branches(&base, &inside[from..at], all);
                    from = at + 1;
                }
                _ => {}
            }
        }
        branches(&base, &inside[from..], all);
    } else if !tree.is_empty() {
        let (path, renamed) =
            tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name)));
        let mut path = [before, &segments(path)].concat();
        let last = path.last().cloned().unwrap_or_default();
        if last == "self" || last == "*" {
            path.pop();
        }
        let name = match (renamed, &*last) {
            (Some(name), _) => name.trim().to_owned(),
            (None, "self") => path.last().cloned().unwrap_or_default(),
            (None, _) => last,
        };
        all.push((path, name));
    }
}

fn segments(path: &str) -> Segments {
    path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Every path and every name of the code. A re-export uses nothing.
fn paths(code: &str) -> BTreeSet<Segments> {
    let code = without(code, |line| line.starts_with("pub") && line.contains(" use "));
    let declared = declarations(&code).into_iter().map(|(path, _)| path);
    let code = without(&code, |line| line.starts_with("use "));
    let is_name = |sign: char| sign.is_alphanumeric() || sign == '_' || sign == ':';
    let words = code.split(|sign: char| !is_name(sign)).map(segments);
    words.filter(|path| !path.is_empty()).chain(declared).collect()
}
