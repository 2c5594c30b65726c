//! What it costs that a driver is a file: loading it, with a process and in one that is there, and asking it, against asking
//! a Rust driver in a process of its own.
//!
//! `cargo bench -p hotadd-cli --bench driver`. The driver does nothing: its callback returns.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "driver/measure.rs"]
mod measure;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    measure::all()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {}
