//! Drivers that the tests build.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

use crate::common::{self, events, hotadd, stderr, stdout};

/// The folder of the sample drivers.
pub(crate) fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../hotadd-nt/samples")
}

/// A folder for drivers that is removed at the end of the test.
pub(crate) struct Built {
    folder: tempfile::TempDir,
}

impl Built {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A native driver with this statement in its DriverEntry.
    pub(crate) fn doing(&self, name: &str, what: &str) -> String {
        // The compiler guesses the prototypes: these functions take and return integers.
        self.of(
            name,
            &format!("int DriverEntry(void *driver, void *path) {{ {what} return 0; }}\n"),
        )
    }

    /// A native driver with this source.
    pub(crate) fn of(&self, name: &str, text: &str) -> String {
        let source = self.folder.path().join(format!("{name}.c"));
        std::fs::write(&source, text).unwrap();
        self.cc(name, &source, &["-w", "-D_GNU_SOURCE"])
    }

    /// The same with our headers, as the author of a driver builds it.
    pub(crate) fn with_headers(&self, name: &str, text: &str) -> String {
        let source = self.folder.path().join(format!("{name}.c"));
        std::fs::write(&source, text).unwrap();
        self.cc(name, &source, &["@../include/native.flags", "-I../include"])
    }

    /// The folder to build in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn cc(&self, name: &str, source: &Path, flags: &[&str]) -> String {
        let path = self.folder.path().join(format!("{name}.so"));
        let mut cc = Command::new("cc");
        cc.current_dir(samples()).args(["-O2", "-shared", "-fPIC", "-Wl,-Bsymbolic"]);
        let built = cc.args(flags).arg(source).arg("-o").arg(&path).output().expect("a C compiler");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        path.to_str().expect("UTF-8").to_owned()
    }
}

/// The two forms of a driver's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    So,
    Sys,
}

/// A driver's file.
pub(crate) struct Driver {
    pub(crate) name: String,
    pub(crate) path: String,
}

impl Driver {
    /// Its specification with these options.
    pub(crate) fn with(&self, options: &str) -> String {
        format!("{},{options}", self.path)
    }
}

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::So, Self::Sys];

    /// A sample driver: the committed `.sys`, or its source built natively.
    pub(crate) fn sample(self, name: &str) -> Driver {
        let (folder, end) = match self {
            Self::So => (native(), "so"),
            Self::Sys => (samples().join("fixtures"), "sys"),
        };
        let name = format!("{name}.{end}");
        let path = folder.join(&name);
        assert!(path.exists(), "{} is there", path.display());
        Driver { name, path: path.to_str().expect("UTF-8").to_owned() }
    }

    /// A driver with this fault.
    pub(crate) fn fault(self, name: &str) -> Driver {
        self.sample(&format!("fault-{name}"))
    }

    /// The prefix of an import's name.
    pub(crate) fn module(self) -> &'static str {
        match self {
            Self::So => "",
            Self::Sys => "ntoskrnl.exe!",
        }
    }
}

/// All samples built natively, once for all tests.
fn native() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("samples");
        let out = format!("OUT={}", folder.display());
        let make =
            Command::new("make").current_dir(samples()).args(["-s", "-B", "native", &out]).output();
        let made = make.expect("make");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        folder
    };
    FOLDER.get_or_init(build).clone()
}

/// A run on simulated processors.
pub(crate) struct Run(Vec<String>);

impl Run {
    pub(crate) fn new(simulate: &str) -> Self {
        Self(["run", "--every", "0s", "--simulate", simulate].map(str::to_owned).to_vec())
    }

    pub(crate) fn driver(self, spec: &str) -> Self {
        self.with("--driver", spec)
    }

    pub(crate) fn add(self, list: &str) -> Self {
        self.with("--add", list)
    }

    pub(crate) fn fail_on(self, what: &str) -> Self {
        self.with("--fail-on", what)
    }

    fn with(mut self, option: &str, value: &str) -> Self {
        self.0.extend([option.to_owned(), value.to_owned()]);
        self
    }

    /// Runs it to its end, with JSON events.
    pub(crate) fn output(self) -> Output {
        hotadd(&["run"]).args(&self.0[1..]).arg("--json").output().expect("hotadd starts")
    }

    /// The same with lines for people.
    pub(crate) fn people(self) -> Output {
        let words: Vec<&str> = self.0.iter().map(String::as_str).collect();
        common::output(&words)
    }

    /// The events of a successful run.
    pub(crate) fn ends_well(self) -> Vec<Value> {
        let output = self.output();
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
        events(&stdout(&output))
    }
}
