//! The name that programs look for when they start.

fn main() {
    // As long as the first number is 0, each second one may change what programs were built for.
    let [major, minor] =
        ["MAJOR", "MINOR"].map(|part| std::env::var(format!("CARGO_PKG_VERSION_{part}")));
    if let (Ok(major), Ok(minor)) = (major, minor) {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libhotadd.so.{major}.{minor}");
    }
}
