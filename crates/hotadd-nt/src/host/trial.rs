//! Tests what ends a process: this test binary, started again, calls one function of a driver and reports the
//! outcome.

use std::ffi::c_void;
use std::mem;
use std::process::{Command, Stdio};
use std::time::Duration;

use hotadd::Partition;
use hotadd::hardware::Simulated;

use crate::ground::abi::Abi;
use crate::kernel::exports;
use crate::{Breach, Console, Fault, World, fault, pe};

/// The drivers of `tests/fixtures`.
const DRIVERS: &[(&str, &[u8])] = &[
    ("crash.sys", include_bytes!("../../tests/fixtures/crash.sys")),
    ("seh.sys", include_bytes!("../../tests/fixtures/seh.sys")),
    ("raise.sys", include_bytes!("../../tests/fixtures/raise.sys")),
];

/// The outcome of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The fault as text, or `returned N`, or nothing.
    pub(crate) said: String,
    /// The status of a fault.
    pub(crate) status: Option<u32>,
    /// Everything that was printed.
    pub(crate) everything: String,
    /// The signal that ended the process.
    pub(crate) signal: Option<i32>,
}

/// Calls a function of a driver in a process of its own.
pub(crate) fn call(driver: &str, function: &str, arguments: &[u64]) -> Outcome {
    let mut detail = format!("{driver} {function}");
    for argument in arguments {
        detail += &format!(" {argument}");
    }
    run("call", &detail)
}

/// Runs a role in another process.
pub(crate) fn run(role: &str, detail: &str) -> Outcome {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["host::trial::play", "--exact", "--nocapture", "--test-threads=1"]);
    command.env("HOTADD_NT_ROLE", role).env("HOTADD_NT_DETAIL", detail).env("RUST_BACKTRACE", "0");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let everything =
        String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let line = |start: &str| {
        let found = everything.lines().find_map(|line| line.split_once(start));
        found.map(|(_, rest)| rest.to_owned())
    };
    Outcome {
        said: line("SAID ").unwrap_or_default(),
        status: line("STATUS ").map(|status| u32::from_str_radix(&status, 16).unwrap()),
        signal: std::os::unix::process::ExitStatusExt::signal(&output.status),
        everything: everything.to_string(),
    }
}

/// Prints the drivers' output.
struct Lines;

impl Console for Lines {
    fn print(&self, text: &str) {
        println!("PRINTED {text}");
    }

    fn breach(&self, breach: &Breach) {
        println!("BREACH {breach}");
    }

    fn fault(&self, fault: &Fault) {
        println!("\nSTATUS {:x}\nSAID {fault}", fault.status.to_raw());
    }
}

/// The entry point of the processes that other tests start. Without a role it does nothing.
#[test]
fn play() {
    let Ok(role) = std::env::var("HOTADD_NT_ROLE") else { return };
    let detail = std::env::var("HOTADD_NT_DETAIL").unwrap_or_default();
    let partition = Partition::simulated(&Simulated::new(2, 2).unwrap()).unwrap();
    let world = World {
        partition,
        name: "trial".into(),
        time_limit: Duration::from_secs(5),
        level: 0,
        real: false,
        console: Box::new(Lines),
    };
    assert!(world.begin().is_ok(), "it is the only one");
    match role.as_str() {
        "call" => println!("\nSAID returned {}", call_here(&detail)),
        "export" => export(&detail),
        "overdue" => drop(fault::watch(Duration::from_millis(200), || call_here(&detail))),
        "overdue printing" => {
            let world = World::current();
            fault::watch(Duration::from_millis(200), || {
                loop {
                    world.console().print("again");
                }
            });
        }
        "in time" => {
            let answers =
                (0..100).map(|_| fault::watch(Duration::from_secs(60), || call_here(&detail)));
            println!("\nSAID returned {}", answers.sum::<u64>());
        }
        "host overflow" => println!("{}", overflow(1)),
        "host crash" => {
            println!("{}", call_here("crash.sys add 1 2 3 4"));
            // SAFETY: the write is invalid on purpose: this process was made to show what happens.
            unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
        }
        other => panic!("no role {other}"),
    }
}

/// Overflows its stack like any Rust program, although a driver is loaded.
fn overflow(depth: u64) -> u64 {
    if depth == 1 {
        call_here("crash.sys add 1 2 3 4");
    }
    let room = std::hint::black_box([depth; 512]);
    if depth == 0 { 0 } else { overflow(depth + 1) + room[(depth % 512) as usize] }
}

/// "CONVENTION EXPORT ADDRESS": calls an export, all of whose arguments are this address.
fn export(detail: &str) {
    type Win64 = unsafe extern "win64" fn(usize, usize, usize, usize);
    type SysV = unsafe extern "sysv64" fn(usize, usize, usize, usize);
    let mut words = detail.split(' ');
    let (abi, name) = (words.next().unwrap(), words.next().unwrap());
    let address = words.next().unwrap().parse().unwrap();
    let export = exports::find(name).unwrap_or_else(|| panic!("{name} is exported"));
    if abi == "win64" {
        // SAFETY: it is a function in this convention that takes integers and addresses, and reads only its own
        // parameters.
        let function =
            unsafe { mem::transmute::<*const c_void, Win64>(export.address(Abi::Win64)) };
        // SAFETY: the call is invalid on purpose: this process was made to show what happens.
        unsafe { function(address, address, address, address) };
    } else {
        // SAFETY: it is a function in this convention that takes integers and addresses, and reads only its own
        // parameters.
        let function = unsafe { mem::transmute::<*const c_void, SysV>(export.address(Abi::SysV)) };
        // SAFETY: the call is invalid on purpose: this process was made to show what happens.
        unsafe { function(address, address, address, address) };
    }
}

/// "DRIVER FUNCTION ARGUMENT..."
fn call_here(detail: &str) -> u64 {
    let mut words = detail.split(' ');
    let (driver, function) = (words.next().unwrap(), words.next().unwrap());
    let (_, bytes) = DRIVERS.iter().find(|(name, _)| *name == driver).unwrap();
    let loaded = pe::load(bytes, driver, false).unwrap();
    let function =
        loaded.function(function).unwrap_or_else(|| panic!("{driver} has no {function}"));
    let mut arguments = [0; 4];
    for (argument, word) in arguments.iter_mut().zip(words) {
        *argument = word.parse().unwrap();
    }
    // SAFETY: the call is not always valid: these functions misbehave on purpose, in a process made for it.
    (unsafe { function.call(arguments) }) as u64
}
