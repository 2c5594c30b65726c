//! Writes the reports that were asked for.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use hotadd_verify::report::{Report, html, json, junit, sarif, table};

use crate::args::Verify;
use crate::say;

type Writer = fn(&Report, &mut dyn Write) -> io::Result<()>;

pub(super) fn write(args: &Verify, report: &Report) -> Result<(), String> {
    let files: [(&Option<PathBuf>, Writer); 3] =
        [(&args.junit, junit::write), (&args.sarif, sarif::write), (&args.html, html::write)];
    for (path, writer) in files {
        let Some(path) = path else { continue };
        let mut bytes = Vec::new();
        let written = writer(report, &mut bytes).and_then(|()| std::fs::write(path, bytes));
        written.map_err(|error| {
            let path = path.display().to_string();
            format!("{} cannot be written: {error}", hotadd::text::clean(&path))
        })?;
    }
    let mut text = Vec::new();
    let written = if args.json {
        json::write(report, &mut text)
    } else {
        table::write(report, io::stdout().is_terminal(), &mut text)
    };
    written.map_err(|error| error.to_string())?;
    say::whole(&String::from_utf8_lossy(&text));
    Ok(())
}
