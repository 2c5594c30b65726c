//! The headers and the table of exports declare the same: every export is in the headers, every declaration is
//! provided, and sizes are equal. The files that are made from both are up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use crate::ground::abi::Abi;
use crate::ground::export::{Export, What};
use crate::kernel::exports;

/// Exports that no header declares. A driver's source cannot name them, or has no use for them natively.
const UNDECLARED: [(&str, &str); 10] = [
    (
        "PsGetProcessImageFileName",
        "undocumented: drivers declare it themselves, with different results",
    ),
    ("RtlCaptureContext", "unwinds a .sys"),
    ("RtlLookupFunctionEntry", "unwinds a .sys"),
    ("RtlRestoreContext", "unwinds a .sys"),
    ("RtlUnwind", "unwinds a .sys"),
    ("RtlUnwindEx", "unwinds a .sys"),
    ("RtlVirtualUnwind", "unwinds a .sys"),
    ("__C_specific_handler", "called by the compiler"),
    ("__chkstk", "called by the compiler"),
    ("_local_unwind", "called by the compiler"),
];

/// Functions that are declared with more arguments than the host reads.
const MORE_ARGUMENTS: [&str; 1] = ["WmiTraceMessage"];

/// The name in a prototype: the word before the parameters, or the last word.
fn symbol(prototype: &str) -> &str {
    let head = prototype.split('(').next().unwrap_or_default();
    head.rsplit([' ', '*']).next().unwrap_or_default()
}

/// How to write the generated files.
const UPDATE: &str = "HOTADD_UPDATE=1 cargo test -p hotadd-nt --lib generated_files";

/// A path inside this crate.
fn path(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; ./test installs it"));
    assert!(status.success(), "{command:?}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

/// A function or variable in the headers.
#[derive(Debug)]
struct Declared {
    /// The header, as `nt/dpc.h`.
    header: String,
    /// The name that a driver uses.
    name: String,
    /// The name after the preprocessor.
    symbol: String,
    /// The type of the result or of the variable.
    result: String,
    /// None for a variable.
    parameters: Option<Vec<String>>,
}

impl Declared {
    /// The declaration, for a reader.
    fn text(&self) -> String {
        let Self { name, result, parameters, .. } = self;
        let space = if result.ends_with('*') { "" } else { " " };
        match parameters {
            None => format!("{result}{space}{name}"),
            Some(none) if none.is_empty() => format!("{result}{space}{name}(void)"),
            Some(types) => format!("{result}{space}{name}({})", types.join(", ")),
        }
    }

    fn is_variadic(&self) -> bool {
        self.parameters.iter().flatten().any(|parameter| parameter == "...")
    }

    /// The named parameters.
    fn named(&self) -> impl Iterator<Item = &str> {
        let types = self.parameters.iter().flatten().map(String::as_str);
        types.filter(|parameter| *parameter != "...")
    }
}

/// Splits at the commas that are in no parentheses.
fn split(parameters: &str) -> Vec<&str> {
    let mut depth = 0;
    let outside = |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    };
    parameters.split(outside).map(str::trim).filter(|one| *one != "void").collect()
}

/// One line of `include/prototypes all`: `nt/dpc.h<TAB>extern BOOLEAN KeRemoveQueueDpc(PRKDPC)`. A definition starts
/// with `static`, and its parameters have names.
fn declared(line: &str) -> Declared {
    let (header, text) = line.split_once('\t').expect("a header and a declaration");
    let (storage, text) = text.split_once(' ').expect("extern or static");
    let (head, parameters) = match text.split_once('(') {
        Some((head, parameters)) => (head, parameters.strip_suffix(')')),
        None => (text, None),
    };
    let start = head.rfind([' ', '*']).expect("a type") + 1;
    let (result, symbol) = (head[..start].trim(), &head[start..]);
    let plain = ["nt_", "hotadd_"].iter().find_map(|prefix| symbol.strip_prefix(prefix));
    let nameless = |parameter: &str| {
        let name =
            parameter.rfind([' ', '*']).filter(|_| storage == "static" && parameter != "...");
        name.map_or(parameter, |at| parameter[..=at].trim()).to_owned()
    };
    Declared {
        header: header.to_owned(),
        name: plain.unwrap_or(symbol).to_owned(),
        symbol: symbol.to_owned(),
        // A function that does not return is listed as volatile.
        result: if result == "volatile void" { "void" } else { result }.to_owned(),
        parameters: parameters.map(|list| split(list).into_iter().map(nameless).collect()),
    }
}

/// What the headers declare or define, by name.
fn headers() -> BTreeMap<String, Declared> {
    let all = run(Command::new(path("include/prototypes")).arg("all"));
    all.lines().map(declared).map(|one| (one.name.clone(), one)).collect()
}

/// The sizes of the parameters and of the result of each declaration, as gcc has them.
fn sizes(headers: &BTreeMap<String, Declared>) -> BTreeMap<String, (Vec<usize>, usize)> {
    let scratch = tempfile::tempdir().expect("a folder");
    let (source, program) = (scratch.path().join("sizes.c"), scratch.path().join("sizes"));
    let size = |of: &str| match of {
        "void" => "0".to_owned(),
        // An array, which is passed as a pointer.
        "va_list" => "sizeof(void *)".to_owned(),
        _ => format!("sizeof({of})"),
    };
    let lines = headers.values().map(|one| {
        let numbers = std::iter::once(size(&one.result)).chain(one.named().map(size));
        let numbers: String = numbers.map(|n| format!("    put({n});\n")).collect();
        format!("    puts_(\"{}\");\n{numbers}", one.name)
    });
    // No function of the machine's C library prints here: the headers replace its names.
    let text = format!(
        "#include <ntifs.h>\n#include <ntstrsafe.h>\nextern int printf(const char *format, ...);\n\
         static void puts_(const char *name)\n{{\n    printf(\"\\n%s\", name);\n}}\n\
         static void put(size_t n)\n{{\n    printf(\" %zu\", n);\n}}\n\
         int main(void)\n{{\n{}    return 0;\n}}\n",
        lines.collect::<String>()
    );
    fs::write(&source, text).expect("a source");
    // Inline functions call the host's, which are not linked: without use they are dropped.
    let flags = "@include/native.flags -O1 -Iinclude -w";
    let mut gcc = Command::new("gcc");
    gcc.args(flags.split(' ')).arg(&source).arg("-o").arg(&program);
    run(gcc.current_dir(path(".")));
    let printed = run(&mut Command::new(&program));
    let parse = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next()?.to_owned();
        let mut numbers = words.map(|word| word.parse().expect("a size"));
        let result = numbers.next()?;
        Some((name, (numbers.collect(), result)))
    };
    printed.lines().filter_map(parse).collect()
}

/// Whether a `.so` can call it. The other exports serve only a `.sys`.
fn is_native(export: &Export) -> bool {
    !export.address(Abi::SysV).is_null()
}

#[test]
fn every_export_is_declared() {
    let headers = headers();
    let missing = |name: &&str| {
        !headers.contains_key(*name) && UNDECLARED.iter().all(|(undeclared, _)| undeclared != name)
    };
    let missing: Vec<&str> = exports::exports().map(|export| export.name).filter(missing).collect();
    assert!(missing.is_empty(), "no header declares them: {missing:#?}");
    for (name, reason) in UNDECLARED {
        assert!(exports::find(name).is_some(), "{name} ({reason}) is not an export any more");
        assert!(!headers.contains_key(name), "{name} ({reason}) is declared after all");
    }
}

#[test]
fn every_declaration_of_the_headers_is_provided_in_both_conventions() {
    let listed: BTreeSet<&str> =
        include_str!("../../include/exports.txt").lines().map(symbol).collect();
    let headers = headers();
    // What the headers define inline needs no host.
    let wanted: Vec<&Declared> =
        headers.values().filter(|one| listed.contains(one.symbol.as_str())).collect();
    assert_eq!(wanted.len(), listed.len(), "include/exports.txt lists what the headers declare");
    let is_missing = |one: &&&Declared| {
        exports::find(&one.name).is_none_or(|export| {
            [Abi::Win64, Abi::SysV].into_iter().any(|abi| export.address(abi).is_null())
        })
    };
    let missing: Vec<&str> =
        wanted.iter().filter(is_missing).map(|one| one.name.as_str()).collect();
    assert!(missing.is_empty(), "{} of {}: {missing:#?}", missing.len(), wanted.len());
}

#[test]
fn sizes_in_the_headers_equal_those_of_the_exports() {
    let headers = headers();
    let sizes = sizes(&headers);
    let mut wrong = Vec::new();
    let mut compared = 0;
    for export in exports::exports().filter(|export| is_native(export)) {
        let Some((parameters, result)) = sizes.get(export.name) else { continue };
        compared += 1;
        let host = export.sizes;
        let is_variadic =
            headers[export.name].is_variadic() && !MORE_ARGUMENTS.contains(&export.name);
        let is_variable = headers[export.name].parameters.is_none();
        if *parameters != host.parameters
            || *result != host.result
            || is_variadic != host.variadic
            || is_variable != matches!(export.what, What::Data { .. })
        {
            let text = headers[export.name].text();
            wrong.push(format!("{text}: {parameters:?} -> {result}, the host has {host:?}"));
        }
    }
    assert!(compared > 420, "only {compared} exports to compare");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The definition of an import library with all exports.
fn definition() -> String {
    let mut lines: Vec<String> = exports::exports()
        .map(|export| match export.what {
            What::Function { .. } => export.name.to_owned(),
            What::Data { .. } => format!("{} DATA", export.name),
        })
        .collect();
    lines.sort();
    lines.dedup();
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("; Everything that a .sys can import. {UPDATE}\nLIBRARY ntoskrnl.exe\nEXPORTS\n{lines}")
}

/// The first comment of a header, in one line.
fn purpose(header: &str) -> String {
    let text = fs::read_to_string(path("include").join(header)).expect("a header");
    let comment =
        text.split("/*").nth(1).and_then(|rest| rest.split("*/").next()).unwrap_or_default();
    let words: Vec<&str> = comment.split_whitespace().filter(|word| *word != "*").collect();
    words.join(" ")
}

/// The page of all exports, by header.
fn page() -> String {
    let headers = headers();
    let mut areas: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for declared in headers.values().filter(|declared| exports::find(&declared.name).is_some()) {
        areas.entry(&declared.header).or_default().push(declared.text());
    }
    let mut page = String::from(
        "# All functions and variables for Windows drivers\n\n\
         <!-- Generated from the table of exports and the headers: ",
    );
    page += UPDATE;
    page += " -->\n\nThey have the names, prototypes and results of the public WDK documentation. \
             [What a Windows driver can call](driver-functions.md)\nlists the differences from Windows. \
             The headings are headers in `crates/hotadd-nt/include`; a driver includes `ntddk.h` or the like.\n";
    for (header, lines) in areas {
        page += &format!("\n## {header}\n{}\n\n", purpose(header));
        page.extend(lines.iter().map(|line| format!("- `{line}`\n")));
    }
    page += "\n## In no header\n";
    page.extend(UNDECLARED.iter().map(|(name, reason)| format!("- `{name}`: {reason}\n")));
    page
}

#[test]
fn generated_files_are_up_to_date() {
    let files = [("include/hotadd.def", definition()), ("../../docs/driver-exports.md", page())];
    for (file, text) in files {
        if env::var_os("HOTADD_UPDATE").is_some() {
            fs::write(path(file), &text).expect("the generated file is written");
        }
        let there = fs::read_to_string(path(file)).unwrap_or_default();
        assert!(
            there == text,
            "{file} is not what the exports and the headers make. Run: {UPDATE}"
        );
    }
}
