//! Drivers that are built for a test, with marks at known lines.

use std::path::{Path, PathBuf};
use std::process::Command;

use hotadd_verify::symbols::{Location, Symbols};
use object::{Object, ObjectSection, ObjectSegment, SectionKind};

/// A driver. `MARK(n)` is an instruction that stands once in the file, so that a test finds its offset.
pub(crate) const SOURCE: &str = r#"
#define MARK(n) __asm__ volatile(".byte 0x0f, 0x1f, 0x84, 0x00, " #n ", 0x00, 0xed, 0x5e")
#define OWN __attribute__((noinline)) static
volatile int sink;

static inline __attribute__((always_inline)) void inlined(void)
{
    MARK(1);
    sink++;
}

OWN void start(void)
{
    inlined();
    MARK(2);
    sink++;
}

int DriverEntry(void *driver, void *path)
{
    (void)driver, (void)path;
    MARK(3);
    start();
    return sink;
}
"#;

/// The lines of the marks in [`SOURCE`].
pub(crate) const LINES: [u32; 3] = [8, 15, 22];

/// The size of a mark.
const MARK: u64 = 8;

/// The line of the call that follows mark 3.
pub(crate) const CALL: u32 = 23;

/// A folder with drivers.
pub(crate) struct Built {
    folder: tempfile::TempDir,
}

impl Built {
    /// A folder with the source.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("percpu.c"), SOURCE).unwrap();
        Self { folder }
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command in the folder.
    pub(crate) fn run(&self, command: &str) {
        let mut words = command.split_whitespace();
        let mut process = Command::new(words.next().unwrap());
        let output = process.args(words).current_dir(self.folder.path()).output().expect(command);
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{command}: {}", said.concat());
    }

    /// A native driver.
    pub(crate) fn so(&self, flags: &str) -> PathBuf {
        self.run(&format!("gcc -O1 -shared -fPIC percpu.c -o percpu.so {flags}"));
        self.path("percpu.so")
    }

    /// A Windows driver of mingw-w64.
    pub(crate) fn mingw(&self, flags: &str) -> PathBuf {
        self.run(&format!(
            "x86_64-w64-mingw32-gcc -O1 -nostdlib -shared -Wl,--subsystem,native -Wl,--entry,DriverEntry percpu.c -o percpu.sys {flags}"
        ));
        self.path("percpu.sys")
    }

    /// A Windows driver with a PDB.
    pub(crate) fn sys(&self, compile: &str, link: &str) -> PathBuf {
        self.run(&format!(
            "clang --target=x86_64-pc-windows-msvc -O1 -c percpu.c -o percpu.obj {compile}"
        ));
        self.run(&format!(
            "lld-link /driver /subsystem:native /entry:DriverEntry /nodefaultlib /Brepro /debug /out:percpu.sys percpu.obj {link}"
        ));
        self.path("percpu.sys")
    }
}

/// The offset of `MARK(n)` in a driver.
pub(crate) fn mark(driver: &Path, n: u8) -> u64 {
    let bytes = std::fs::read(driver).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let base = match file.relative_address_base() {
        0 => file.segments().map(|segment| segment.address()).min().unwrap() & !0xfff,
        base => base,
    };
    let wanted = [0x0f, 0x1f, 0x84, 0, n, 0, 0xed, 0x5e];
    let code = file.sections().filter(|section| section.kind() == SectionKind::Text);
    let found = code.flat_map(|section| {
        let data = section.data().unwrap();
        let at = data.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
        let at = at.map(|(at, _)| section.address() + at as u64 - base);
        at.collect::<Vec<_>>()
    });
    let found = found.collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "mark {n} stands once: {found:x?}");
    found[0]
}

/// The marks of a driver.
pub(crate) fn marks(driver: &Path) -> [Option<Location>; 3] {
    let symbols = Symbols::open(driver);
    [1, 2, 3].map(|n| symbols.locate(mark(driver, n)))
}

/// The call of `start`.
pub(crate) fn call(driver: &Path) -> Option<Location> {
    Symbols::open(driver).locate(mark(driver, 3) + MARK)
}

/// A location in full.
pub(crate) fn at(function: &str, file: &str, line: u32) -> Option<Location> {
    let (function, file) = (Some(function.to_owned()), Some(file.to_owned()));
    Some(Location { function, file, line: Some(line) })
}

/// A function's name alone.
pub(crate) fn named(function: &str) -> Option<Location> {
    Some(Location { function: Some(function.to_owned()), ..Location::default() })
}

/// All marks in full.
pub(crate) fn all() -> [Option<Location>; 3] {
    let names = ["inlined", "start", "DriverEntry"];
    std::array::from_fn(|i| at(names[i], "percpu.c", LINES[i]))
}
