//! Drivers that are built for a test, and a world for them.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hotadd::hardware::Simulated;
use hotadd::{Partition, PartyInfo};
use hotadd_nt::{Breach, Console, Fault, World};

/// The declarations that every driver here begins with.
pub const PRELUDE: &str = r#"
typedef struct { unsigned state, index; int status; unsigned short group; unsigned char number, reserved; } CHANGE;
typedef struct { unsigned short length, maximum; unsigned short *buffer; } STRING;
typedef void CALLBACK(void *context, CHANGE *change, int *status);
void *KeRegisterProcessorChangeCallback(CALLBACK *callback, void *context, unsigned flags);
void KeDeregisterProcessorChangeCallback(void *handle);
#define UNLOAD(driver) (*(void (**)(void *))((char *)(driver) + 0x68))
#define CHECK(condition) do { if (!(condition)) return 0xE0000000 | __LINE__; } while (0)
#line 1
"#;

/// A folder with drivers.
pub struct Built {
    folder: tempfile::TempDir,
}

impl Built {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Builds a native driver from C.
    pub fn so(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let path = self.folder.path().join(name);
        let from = self.folder.path().join("driver.c");
        std::fs::write(&from, format!("{PRELUDE}{source}")).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-fshort-wchar", "-w", "-o"]).arg(&path).arg(&from);
        let built = cc.args(flags).output().expect("a C compiler");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        path
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Everything that the console received.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn push(&self, text: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// The lines since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Console for Heard {
    fn print(&self, text: &str) {
        self.push(format!("print {text}"));
    }

    fn breach(&self, breach: &Breach) {
        self.push(format!("breach {breach}"));
    }

    fn fault(&self, fault: &Fault) {
        // The process ends, so the line cannot be taken from here.
        eprintln!("fault {fault}");
    }

    fn registered(&self, party: &PartyInfo) {
        self.push(format!("registered {}", party.name));
    }
}

/// The only world of this process, for one test at a time. Processors 0 and 1 are active at first.
pub struct TheWorld {
    pub partition: Partition,
    pub heard: Heard,
    _alone: MutexGuard<'static, ()>,
}

impl TheWorld {
    /// The number of registered parties: this many answer a rehearsal.
    pub fn parties(&self) -> usize {
        let next = self.partition.candidates().unwrap()[0];
        self.partition.rehearse(next).unwrap().answers.len()
    }
}

pub fn world() -> TheWorld {
    static ALONE: Mutex<()> = Mutex::new(());
    static WORLD: OnceLock<(Partition, Heard)> = OnceLock::new();
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (partition, heard) = WORLD.get_or_init(|| {
        let partition = Partition::simulated(&Simulated::new(2, 30).unwrap()).unwrap();
        let heard = Heard::default();
        let world = World {
            partition: partition.clone(),
            name: "driver".to_owned(),
            time_limit: Duration::from_secs(5),
            level: 0,
            real: false,
            console: Box::new(heard.clone()),
        };
        assert!(world.begin().is_ok(), "there is no other world in this process");
        (partition.clone(), heard.clone())
    });
    heard.take();
    TheWorld { partition: partition.clone(), heard: heard.clone(), _alone: alone }
}
