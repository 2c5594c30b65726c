//! The cost of a driver's file: loading it, with a new process and in an existing one, and asking it,
//! compared with a Rust driver in its own process.
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
