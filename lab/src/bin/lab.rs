//! `lab`: fetches everything that guests need, builds the programs for them, and prints one line that says whether they can run.
//! Used by `./test`.

use std::process::ExitCode;

use lab::{Error, Kernel, Lab, binary};

/// The exit status if guests cannot run. Other failures are 1.
const UNAVAILABLE: u8 = 69;

/// The programs that tests put into guests, with their packages and features. A test that needs another one builds it then.
const PROGRAMS: [(&str, &str, &[&str]); 7] = [
    ("hotadd-cli", "hotadd", &[]),
    ("hotadd-cli", "hotadd", &["fault-points"]),
    ("hotadd-conformance", "table-in-guest", &[]),
    ("lab", "lab-agent", &[]),
    ("lab", "lab-cpuset", &[]),
    ("lab", "lab-holder", &[]),
    ("lab", "lab-onliner", &[]),
];

fn main() -> ExitCode {
    let prepare = || -> Result<(), Error> {
        for kernel in Kernel::ALL {
            Lab::new(kernel)?.debian()?;
        }
        for (package, name, features) in PROGRAMS {
            binary(package, name, features)?;
        }
        Ok(())
    };
    match prepare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e @ Error::Unavailable(_)) => {
            println!("{e}");
            ExitCode::from(UNAVAILABLE)
        }
        Err(e) => {
            eprintln!("lab: {e}");
            ExitCode::FAILURE
        }
    }
}
