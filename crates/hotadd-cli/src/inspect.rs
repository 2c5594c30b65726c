//! `hotadd inspect`: describes a driver's file, and whether what it imports is provided.

use std::process::ExitCode;

use crate::args::Inspect;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) fn run(_: &Inspect) -> ExitCode {
    crate::say::wrong("Windows drivers need x86-64 Linux, and this is another system");
    ExitCode::FAILURE
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use here::run;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod here {

    use hotadd::text::clean;
    use hotadd_nt::{File, FileError, Import, Inspection, Provision};
    use serde_json::{Value, json};

    use super::{ExitCode, Inspect};

    /// Inspects the file and prints the result. Returns the exit status.
    pub(crate) fn run(args: &Inspect) -> ExitCode {
        let name = args.file.file_name().unwrap_or(args.file.as_os_str()).to_string_lossy();
        let seen = File::read(&args.file).and_then(|file| {
            let inspection = file.inspect()?;
            Ok((file.bytes().len(), inspection))
        });
        let text = if args.json {
            format!("{}\n", crate::say::cleaned(&as_json(&name, &seen)))
        } else {
            shown(&name, &seen)
        };
        crate::say::whole(&text);
        if seen.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    type Seen = Result<(usize, Inspection), FileError>;

    fn as_json(name: &str, seen: &Seen) -> Value {
        let (size, seen) = match seen {
            Ok((size, seen)) => (size, seen),
            Err(error) => {
                return json!({ "file": name, "loadable": false, "reason": error.to_string() });
            }
        };
        let at_start = seen.frameworks.iter().any(|one| one.at_start);
        let frameworks: Vec<&str> = seen.frameworks.iter().map(|one| one.name).collect();
        let imports = seen.imports.iter().map(|import| {
            json!({ "module": import.module, "name": import.name, "provided": provided(import) })
        });
        let sections = seen.sections.iter().map(|section| {
            json!({
                "name": section.name, "start": section.start, "size": section.size,
                "writable": section.writable, "executable": section.executable,
            })
        });
        json!({
            "file": name, "loadable": !at_start, "kind": seen.kind, "size": size, "memory": seen.memory,
            "frameworks": frameworks,
            "entry": seen.entry, "relocations": seen.relocations, "signed": seen.signed,
            "sections": sections.collect::<Vec<_>>(), "imports": imports.collect::<Vec<_>>(),
        })
    }

    fn provided(import: &Import) -> bool {
        import.provision != Provision::Missing
    }

    /// The result in lines.
    fn shown(name: &str, seen: &Seen) -> String {
        let (size, seen) = match seen {
            Ok((size, seen)) => (size, seen),
            Err(error) => return format!("{}: {}\n", clean(name), clean(&error.to_string())),
        };
        let signed = if seen.signed { "signed (not verified)" } else { "not signed" };
        let entry =
            seen.entry.map_or("no entry point".to_owned(), |at| format!("entry at {at:#x}"));
        let mut lines = vec![
            format!("{}: {}", clean(name), seen.kind),
            format!(
                "{size} bytes, {} in memory; {entry}, {} relocations, {signed}",
                seen.memory, seen.relocations
            ),
            "sections:".to_owned(),
        ];
        for section in &seen.sections {
            let write = if section.writable { "w" } else { "-" };
            let execute = if section.executable { "x" } else { "-" };
            let (name, start, size) = (clean(&section.name), section.start, section.size);
            lines.push(format!("  r{write}{execute} {start:#8x} {size:8} {name}"));
        }
        lines.push("imports:".to_owned());
        for import in &seen.imports {
            let from = match (&*import.module, import.provision) {
                (_, Provision::Missing) => "not provided",
                ("the system", _) => "the system's",
                (_, Provision::Data) => "provided, a variable",
                (_, Provision::Function) => "provided",
            };
            lines.push(format!("  {}: {from}", clean(&import.name)));
        }
        for one in &seen.frameworks {
            lines.push(format!(
                "it is for {}, which hotadd does not host: that would need {}",
                one.name, one.needs
            ));
        }
        let missing = seen.imports.iter().filter(|import| !provided(import)).count();
        let at_start = seen.frameworks.iter().any(|one| one.at_start);
        lines.push(match missing {
            _ if at_start => "it cannot be loaded".to_owned(),
            0 => "it can be loaded".to_owned(),
            missing => {
                format!("it can be loaded, but not with strict: {missing} imports are not provided")
            }
        });
        lines.join("\n") + "\n"
    }
}
