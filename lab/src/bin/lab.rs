//! `lab`: fetches everything that guests need, builds the programs for them, and prints one line that says whether they can run.
//! Used by `./test`.

use std::process::ExitCode;

use lab::{Error, Kernel, Lab};

/// The exit status if guests cannot run. Other failures are 1.
const UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    let prepare = || -> Result<(), Error> {
        for kernel in Kernel::ALL {
            Lab::new(kernel)?.debian()?;
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
