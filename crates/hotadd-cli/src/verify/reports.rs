//! Writes the reports that were asked for.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use hotadd_verify::report::{Report, html, json, junit, sarif, table};

use crate::args::Verify;
use crate::say;

type Writer = fn(&Report, &mut dyn Write) -> io::Result<()>;

/// The files for reports. They are opened first, so that a file that cannot be written is reported before the verification.
pub(super) struct Files<'a>(Vec<(&'a Path, File, Writer)>);

impl<'a> Files<'a> {
    pub(super) fn open(args: &'a Verify) -> Result<Self, String> {
        let all = [
            (args.junit.as_deref(), junit::write as Writer),
            (args.sarif.as_deref(), sarif::write),
            (args.html.as_deref(), html::write),
        ];
        let wanted = all.into_iter().filter_map(|(path, writer)| Some((path?, writer)));
        let opened = wanted.map(|(path, writer)| {
            let file = File::create(path).map_err(|error| cannot(path, &error))?;
            Ok((path, file, writer))
        });
        opened.collect::<Result<_, _>>().map(Self)
    }

    /// Writes all reports, and that for people to stdout.
    pub(super) fn write(self, args: &Verify, report: &Report) -> Result<(), String> {
        let mut text = Vec::new();
        let written = if args.json {
            json::write(report, &mut text)
        } else {
            table::write(report, io::stdout().is_terminal(), &mut text)
        };
        written.map_err(|error| error.to_string())?;
        say::whole(&String::from_utf8_lossy(&text));
        for (path, mut file, writer) in self.0 {
            let mut bytes = Vec::new();
            let written = writer(report, &mut bytes).and_then(|()| file.write_all(&bytes));
            written.map_err(|error| cannot(path, &error))?;
        }
        Ok(())
    }
}

fn cannot(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be written: {error}", hotadd::text::clean(&path.display().to_string()))
}
