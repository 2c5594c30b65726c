//! `lab`: gets everything that guests take, and says in one line whether they can be had. For `./test`.

use std::process::ExitCode;

use lab::{Error, Kernel, Lab};

/// Where guests cannot be had. Other failures are 1.
const UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    let prepare = || -> Result<(), Error> {
        for kernel in Kernel::ALL {
            Lab::new(kernel)?.debian()?.program("hotadd-cli", "hotadd")?;
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
