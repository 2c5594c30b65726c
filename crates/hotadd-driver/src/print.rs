//! [`Line`]: what a driver prints, put together without memory of its own; and the end after a panic.

use core::fmt::{self, Write};
use core::panic::{Location, PanicInfo};

use windows_sys::Wdk::System::SystemServices::KeBugCheckEx;
use windows_sys::Win32::System::Diagnostics::Debug::BUGCHECK_ERROR;

// windows-sys looks for it in ntdll.dll, which no driver can import from.
windows_link::link!("ntoskrnl.exe" "C" fn DbgPrint(format: *const u8, ...) -> u32);

/// The kernel prints 512 bytes at a time.
const LONGEST: usize = 500;

/// A line being put together.
pub struct Line {
    text: [u8; LONGEST + 1],
    length: usize,
}

impl Line {
    /// Prints it.
    pub fn print(arguments: fmt::Arguments<'_>) {
        let mut line = Self { text: [0; _], length: 0 };
        // Only a Display that fails by itself fails here, and what it wrote before that is still worth printing.
        let _ = line.write_fmt(arguments);
        // SAFETY: the format wants one text that ends with a zero, and the last byte is never written.
        unsafe { DbgPrint(c"%s\n".as_ptr().cast(), line.text.as_ptr()) };
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = LONGEST - self.length;
        let text = &text.as_bytes()[..text.len().min(left)];
        self.text[self.length..][..text.len()].copy_from_slice(text);
        self.length += text.len();
        Ok(())
    }
}

/// Prints what a panic says, and stops the system as a driver's bug does.
pub fn bug_check(info: &PanicInfo<'_>) -> ! {
    /// "The driver's process has ended by a panic": of the range that belongs to nobody.
    const RUST_PANIC: BUGCHECK_ERROR = 0x5255_5354;
    Line::print(format_args!("{info}"));
    let line = info.location().map_or(0, Location::line);
    // SAFETY: may be called from anywhere. It does not return.
    unsafe { KeBugCheckEx(RUST_PANIC, line as usize, 0, 0, 0) };
    // For the compiler, which is not told so.
    loop {
        core::hint::spin_loop();
    }
}
