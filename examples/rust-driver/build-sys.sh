#!/bin/bash
# Builds the driver as a .sys. Wants Debian's rustc-web and rust-web-src (a compiler that can build its own core library for any
# target, 1.91 or later) and Rust's linker, which comes with the Rust that `cargo` is from.
set -euo pipefail
cd "$(dirname "$0")"
linker=$(echo "$(rustc --print sysroot)"/lib/rustlib/*/bin/rust-lld)
export RUSTC=/usr/bin/rustc
# The flags of the standard library's build are not for everyday use, and the compiler wants to hear that it is meant.
export RUSTC_BOOTSTRAP=1
# The same bytes wherever it is built.
here=$PWD
export RUSTFLAGS="--remap-path-prefix=$(cd ../.. && pwd)=/hotadd --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo
    -C linker=$linker -C linker-flavor=lld-link
    -C link-arg=/DRIVER -C link-arg=/SUBSYSTEM:NATIVE -C link-arg=/ENTRY:DriverEntry
    -C link-arg=/NODEFAULTLIB -C link-arg=/Brepro -C link-arg=/DEBUG:NONE -C debuginfo=0"
cargo build --release --locked --target x86_64-pc-windows-msvc -Zbuild-std=core,alloc,compiler_builtins \
    -Zbuild-std-features=compiler-builtins-mem
cp target/x86_64-pc-windows-msvc/release/percpu_rust.dll percpu_rust.sys
ls -l "$here/percpu_rust.sys"
