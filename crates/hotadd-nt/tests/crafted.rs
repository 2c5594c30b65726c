//! Native drivers whose files were manipulated. Each is refused, with a reason, before the system's linker reads it.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod built;

use std::path::Path;

use built::{Built, world};
use hotadd_nt::{Driver, File, FileError, Options};

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_NOTE: u64 = 4;
const PT_GNU_STACK: u64 = 0x6474_e551;

const DT_NEEDED: u64 = 1;
const DT_PLTGOT: u64 = 3;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_RELAENT: u64 = 9;
const DT_INIT: u64 = 12;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_INIT_ARRAY: u64 = 25;
const DT_FINI_ARRAY: u64 = 26;
const DT_INIT_ARRAYSZ: u64 = 27;
/// The count of relative relocations, an entry that the linker does not need. A test overwrites it with
/// another entry.
const SPARE: u64 = 0x6fff_fff9;

const SHT_DYNSYM: u64 = 11;

/// A driver with an import, libraries, data with addresses, constructors and destructors.
const SOURCE: &str = r#"
    unsigned long strlen(const char *);
    static int begun;
    static int *const table[] = { &begun };
    static void unload(void *driver) {}
    __attribute__((constructor)) static void begin(void) { begun++; }
    __attribute__((destructor)) static void end(void) { begun--; }
    int DriverEntry(void *driver, STRING *path) {
        UNLOAD(driver) = unload;
        if (path == 0) KeDeregisterProcessorChangeCallback(0);
        CHECK(*table[0] == 1 && strlen((char *)path->buffer) == 1);
        return 0;
    }"#;

/// A driver's file that a test changes.
#[derive(Clone)]
struct Elf(Vec<u8>);

impl Elf {
    fn get(&self, at: usize, size: usize) -> u64 {
        let mut word = [0; 8];
        word[..size].copy_from_slice(&self.0[at..at + size]);
        u64::from_le_bytes(word)
    }

    fn set(&mut self, at: usize, size: usize, value: u64) {
        self.0[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }

    /// The file offset of the program header of this type.
    fn segment(&self, kind: u64) -> usize {
        let (start, count) = (self.get(32, 8) as usize, self.get(56, 2) as usize);
        let mut headers = (0..count).map(|nth| start + nth * 56);
        headers.find(|at| self.get(*at, 4) == kind).expect("it has such a segment")
    }

    /// The file offset of the section header of this type.
    fn section(&self, kind: u64) -> usize {
        let (start, count) = (self.get(40, 8) as usize, self.get(60, 2) as usize);
        let mut headers = (0..count).map(|nth| start + nth * 64);
        headers.find(|at| self.get(*at + 4, 4) == kind).expect("it has such a section")
    }

    /// The file offsets of the entries of the dynamic table.
    fn entries(&self) -> impl Iterator<Item = usize> {
        let table = self.segment(PT_DYNAMIC);
        let (start, size) = (self.get(table + 8, 8) as usize, self.get(table + 40, 8) as usize);
        (start..start + size).step_by(16)
    }

    /// The file offset of the entry with this tag.
    fn entry(&self, tag: u64) -> usize {
        self.entries().find(|at| self.get(*at, 8) == tag).expect("it has such an entry")
    }

    fn value(&mut self, tag: u64, value: u64) {
        let at = self.entry(tag);
        self.set(at + 8, 8, value);
    }

    /// Writes an entry in the place of the spare one.
    fn add(&mut self, tag: u64, value: u64) {
        let at = self.entry(SPARE);
        self.set(at, 8, tag);
        self.set(at + 8, 8, value);
    }

    /// The file offset of the first relocation. At the start of the file, addresses and offsets are the same.
    fn relocation(&self) -> usize {
        self.get(self.entry(DT_RELA) + 8, 8) as usize
    }
}

/// A change, and the expected message.
type Case = (&'static str, fn(&mut Elf), &'static str);

/// A change, and the expected message as a function of the original file.
type Told<'a> = (&'static str, &'a dyn Fn(&mut Elf), &'a dyn Fn(&Elf) -> String);

fn load(path: &Path) -> Result<Driver, FileError> {
    File::read(path)?.load(Options::default())
}

/// Makes each change to a valid driver and checks the message.
#[track_caller]
fn refused(cases: &[Case]) {
    let built = Built::new();
    let good = built.so("good.so", SOURCE, &["-Wl,-z,now"]);
    let _world = world();
    load(&good).unwrap().begin().expect("it is good as it was built").unload().unwrap();
    let whole = Elf(std::fs::read(&good).unwrap());
    let path = built.folder().join("crafted.so");
    for (what, change, sentence) in cases {
        let mut elf = whole.clone();
        change(&mut elf);
        assert!(elf.0 != whole.0, "{what}: nothing was changed");
        std::fs::write(&path, &elf.0).unwrap();
        let file = File::read(&path).unwrap();
        let refusal = file.load(Options::default()).map(drop).map_err(|error| error.to_string());
        assert_eq!(refusal, Err((*sentence).to_owned()), "{what}");
        let refusal = file.inspect().map(drop).map_err(|error| error.to_string());
        assert_eq!(refusal, Err((*sentence).to_owned()), "{what}, when it is inspected");
    }
}

#[test]
fn a_relocation_that_writes_outside_of_the_drivers_data_is_refused() {
    refused(&[
        (
            "to its headers",
            |elf| elf.set(elf.relocation(), 8, 0x10),
            "damaged: a relocation at 0x10, outside its data",
        ),
        (
            "behind its end",
            |elf| elf.set(elf.relocation(), 8, 0x4000_0000),
            "damaged: a relocation at 0x40000000, outside its data",
        ),
        (
            "over the end of memory",
            |elf| elf.set(elf.relocation(), 8, u64::MAX - 3),
            "damaged: a relocation at 0xfffffffffffffffc, outside its data",
        ),
        (
            "a table behind the end of the file",
            |elf| elf.value(DT_RELA, 0x4000_0000),
            "damaged: its relocations are outside the file",
        ),
        (
            "a table without end",
            |elf| elf.value(DT_RELASZ, u64::MAX - 15),
            "damaged: its relocations are outside the file",
        ),
        (
            "a part of a relocation",
            |elf| elf.value(DT_RELASZ, 25),
            "damaged: its relocations are outside the file",
        ),
        (
            "smaller entries",
            |elf| elf.value(DT_RELAENT, 16),
            "damaged: its tables have entries of the wrong size",
        ),
        (
            "a table of functions in its headers",
            |elf| {
                // With -z now there may be no such entry.
                if elf.entries().any(|at| elf.get(at, 8) == DT_PLTGOT) {
                    elf.value(DT_PLTGOT, 0);
                } else {
                    elf.add(DT_PLTGOT, 0);
                }
            },
            "damaged: its table of functions is outside its data",
        ),
    ]);
}

#[test]
fn a_relocation_that_runs_code_or_is_unknown_is_refused() {
    refused(&[
        (
            "R_X86_64_IRELATIVE",
            |elf| elf.set(elf.relocation() + 8, 4, 37),
            "not supported: functions that are selected during loading (ifunc), because that runs its code \
             outside the sandbox",
        ),
        (
            "R_X86_64_COPY",
            |elf| elf.set(elf.relocation() + 8, 4, 5),
            "not supported: a relocation of type 5",
        ),
        (
            "DT_REL",
            |elf| elf.add(17, 0),
            "not supported: packed or short relocations (link it without -z pack-relative-relocs)",
        ),
        (
            "DT_RELR",
            |elf| elf.add(36, 0),
            "not supported: packed or short relocations (link it without -z pack-relative-relocs)",
        ),
        (
            "DT_TEXTREL",
            |elf| elf.add(22, 0),
            "not supported: relocations in its code (build it with -fPIC)",
        ),
    ]);
}

#[test]
fn writable_and_executable_memory_is_refused() {
    refused(&[
        (
            "a segment",
            |elf| elf.set(elf.segment(PT_LOAD) + 4, 4, 7),
            "not supported: a segment that is both writable and executable",
        ),
        (
            "the stack",
            |elf| elf.set(elf.segment(PT_GNU_STACK) + 4, 4, 7),
            "not supported: executable stacks (link it with -z noexecstack)",
        ),
    ]);
}

#[test]
fn constructors_and_destructors_outside_of_the_drivers_data_are_refused() {
    const SENTENCE: &str = "damaged: its constructors are outside its data";
    refused(&[
        ("in its headers", |elf| elf.value(DT_INIT_ARRAY, 0), SENTENCE),
        ("behind its end", |elf| elf.value(DT_INIT_ARRAY, 0x4000_0000), SENTENCE),
        ("over the end of memory", |elf| elf.value(DT_INIT_ARRAY, u64::MAX - 7), SENTENCE),
        ("without end", |elf| elf.value(DT_INIT_ARRAYSZ, u64::MAX - 7), SENTENCE),
        ("a part of a pointer", |elf| elf.value(DT_INIT_ARRAYSZ, 4), SENTENCE),
        (
            "a function at the end of memory",
            |elf| elf.value(DT_INIT, u64::MAX - 7),
            "damaged: its constructors are outside the file",
        ),
        ("destructors in its headers", |elf| elf.value(DT_FINI_ARRAY, 0), SENTENCE),
    ]);
}

#[test]
fn an_ambiguous_dynamic_table_is_refused() {
    const TWICE: &str = "damaged: an entry of its dynamic table occurs twice";
    const TABLES: &str = "damaged: it does not have exactly one dynamic table";
    const OTHER: &str = "damaged: its sections and its dynamic table differ";
    refused(&[
        ("two tables of names", |elf| elf.add(DT_STRTAB, 0), TWICE),
        ("two lists of constructors", |elf| elf.add(DT_INIT_ARRAY, 0), TWICE),
        (
            "no end",
            |elf| {
                let nulls: Vec<_> = elf.entries().filter(|at| elf.get(*at, 8) == 0).collect();
                assert!(!nulls.is_empty(), "it has an end");
                // DT_DEBUG.
                nulls.into_iter().for_each(|at| elf.set(at, 8, 21));
            },
            "damaged: its dynamic table is not terminated",
        ),
        ("no table", |elf| elf.set(elf.segment(PT_DYNAMIC), 4, 0), TABLES),
        ("two tables", |elf| elf.set(elf.segment(PT_NOTE), 4, PT_DYNAMIC), TABLES),
        (
            "a table behind the end of the file",
            |elf| elf.set(elf.segment(PT_DYNAMIC) + 16, 8, 0x4000_0000),
            "damaged: its dynamic table is outside the file",
        ),
        (
            "a table over the end of memory",
            |elf| elf.set(elf.segment(PT_DYNAMIC) + 16, 8, u64::MAX - 7),
            "damaged: its dynamic table is outside the file",
        ),
        ("symbols elsewhere by the table", |elf| elf.value(DT_SYMTAB, 0x40), OTHER),
        (
            "symbols elsewhere by the sections",
            |elf| elf.set(elf.section(SHT_DYNSYM) + 24, 8, 0x40),
            OTHER,
        ),
    ]);
}

#[test]
fn a_relocation_of_checked_tables_is_refused() {
    let data = |elf: &Elf| elf.get(elf.segment(PT_DYNAMIC) + 16, 8);
    let changes: [Told<'_>; 5] = [
        (
            "a relocation of the dynamic table",
            &|elf| elf.set(elf.relocation(), 8, data(elf) + 8),
            &|elf| format!("damaged: a relocation at {:#x}, outside its data", data(elf) + 8),
        ),
        ("one that reaches into it", &|elf| elf.set(elf.relocation(), 8, data(elf) - 1), &|elf| {
            format!("damaged: a relocation at {:#x}, outside its data", data(elf) - 1)
        }),
        (
            "relocations that change relocations",
            &|elf| {
                elf.value(DT_RELA, data(elf));
                elf.value(DT_RELASZ, 24);
            },
            &|_| "damaged: its relocations would change themselves".to_owned(),
        ),
        (
            "the linker's own words",
            &|elf| {
                if elf.entries().any(|at| elf.get(at, 8) == DT_PLTGOT) {
                    elf.value(DT_PLTGOT, data(elf));
                } else {
                    elf.add(DT_PLTGOT, data(elf));
                }
            },
            &|_| "damaged: its table of functions is outside its data".to_owned(),
        ),
        (
            "a segment over another",
            &|elf| {
                let (first, note) = (elf.segment(PT_LOAD), elf.segment(PT_NOTE));
                elf.0.copy_within(first..first + 56, note);
            },
            &|_| "damaged: its segments are out of order or overlap".to_owned(),
        ),
    ];
    let built = Built::new();
    let good = Elf(std::fs::read(built.so("good.so", SOURCE, &["-Wl,-z,now"])).unwrap());
    let _world = world();
    let path = built.folder().join("crafted.so");
    for (what, change, sentence) in changes {
        let mut elf = good.clone();
        change(&mut elf);
        std::fs::write(&path, &elf.0).unwrap();
        let refusal = load(&path).map(drop).map_err(|error| error.to_string());
        assert_eq!(refusal, Err(sentence(&good)), "{what}");
    }
}

#[test]
fn an_unchecked_symbol_is_refused() {
    const OTHER: &str = "damaged: its sections and its dynamic table differ";
    refused(&[
        ("by a relocation", |elf| elf.set(elf.relocation() + 12, 4, 0xffff), OTHER),
        (
            "by its name",
            |elf| {
                let table = elf.get(elf.entry(DT_GNU_HASH) + 8, 8) as usize;
                let bloom = elf.get(table + 8, 4) as usize;
                elf.set(table + 16 + 8 * bloom, 4, 0xffff);
            },
            OTHER,
        ),
        (
            "behind the last of its kind",
            |elf| {
                let table = elf.get(elf.entry(DT_GNU_HASH) + 8, 8) as usize;
                let [buckets, first, bloom] = [0, 4, 8].map(|at| elf.get(table + at, 4) as usize);
                let symbols = elf.get(elf.section(SHT_DYNSYM) + 32, 8) as usize / 24;
                let last = table + 16 + 8 * bloom + 4 * (buckets + symbols - first - 1);
                elf.set(last, 4, elf.get(last, 4) & !1);
            },
            OTHER,
        ),
        ("in a table that has no end", |elf| elf.value(DT_GNU_HASH, 0x4000_0000), OTHER),
        (
            "in its data",
            |elf| elf.value(DT_GNU_HASH, elf.get(elf.segment(PT_DYNAMIC) + 16, 8)),
            OTHER,
        ),
        ("in an older table", |elf| elf.add(4, 0), OTHER),
        (
            "in fewer sections",
            |elf| {
                let size = elf.section(SHT_DYNSYM) + 32;
                elf.set(size, 8, elf.get(size, 8) - 24);
            },
            OTHER,
        ),
    ]);
}

#[test]
fn libraries_other_than_the_systems_are_refused() {
    let filter = "not supported: a filter, which makes the linker load another file";
    refused(&[
        (
            "a library without a name",
            |elf| elf.value(DT_NEEDED, 0),
            "not supported: the library \"\", which is not a system library",
        ),
        (
            "a name behind the end of the file",
            |elf| elf.value(DT_NEEDED, u64::MAX),
            "not supported: the library \"\", which is not a system library",
        ),
        (
            "a name with a slash",
            |elf| {
                let name = elf.get(elf.entry(DT_NEEDED) + 8, 8);
                let at = (elf.get(elf.entry(DT_STRTAB) + 8, 8) + name) as usize;
                assert_eq!(&elf.0[at..at + 10], b"libc.so.6\0", "the C library");
                elf.0[at..at + 9].copy_from_slice(b"./libc.so");
            },
            "not supported: the library \"./libc.so\", which is not a system library",
        ),
        ("DT_AUXILIARY", |elf| elf.add(0x7fff_fffd, 1), filter),
        ("DT_FILTER", |elf| elf.add(0x7fff_ffff, 1), filter),
    ]);
}

#[test]
fn a_library_path_in_a_driver_is_ignored() {
    let built = Built::new();
    let _world = world();
    built.so("libbeside.so", "int beside(void) { return 7; }", &["-Wl,-soname,libbeside.so"]);
    let folder = built.folder().display().to_string();
    for tags in ["-Wl,--enable-new-dtags", "-Wl,--disable-new-dtags"] {
        let path = format!("-Wl,-rpath,{folder}");
        let alone = built.so("alone.so", SOURCE, &["-Wl,-z,now", tags, &path]);
        let table = Elf(std::fs::read(&alone).unwrap());
        // DT_RUNPATH and DT_RPATH.
        let tag = if tags.contains("enable") { 29 } else { 15 };
        table.entry(tag);
        load(&alone).unwrap().begin().expect("it is taken out").unload().unwrap();

        let source =
            "int beside(void); int DriverEntry(void *driver, STRING *path) { return beside(); }";
        let search = format!("-L{folder}");
        let needs = built.so("needs.so", source, &[tags, &path, &search, "-lbeside"]);
        let why = load(&needs).unwrap_err().to_string();
        let sentence = "not supported: libbeside.so: cannot open shared object file";
        assert!(why.starts_with(sentence), "{tags}: {why}");
    }
}
