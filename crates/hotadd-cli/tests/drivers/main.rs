//! Drivers in files, native ones and Windows ones: their life, their faults, and the limits of their sandbox.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../common/mod.rs"]
mod common;

mod built;
mod fail_on;
mod faults;
mod files;
mod hostile;
mod joining;
mod leaks;
mod life;
mod means;
mod processor_add;
mod rust;
mod sandbox;
