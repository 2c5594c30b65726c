//! The name that programs look for when they start.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libhotadd.so");
}
