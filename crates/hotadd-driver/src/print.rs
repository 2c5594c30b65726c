//! [`Line`]: formats a driver's output without allocating; and the bug check after a panic.

use core::fmt::{self, Write};
use core::panic::{Location, PanicInfo};

use windows_sys::Wdk::System::SystemServices::KeBugCheckEx;
use windows_sys::Win32::System::Diagnostics::Debug::BUGCHECK_ERROR;

// windows-sys links it from ntdll.dll, from which no driver can import.
windows_link::link!("ntoskrnl.exe" "C" fn DbgPrint(format: *const u8, ...) -> u32);

/// The kernel prints 512 bytes at a time.
const LONGEST: usize = 500;

/// A line that is being formatted.
pub struct Line {
    text: [u8; LONGEST + 1],
    length: usize,
}

impl Line {
    /// Formats and prints a line.
    pub fn print(arguments: fmt::Arguments<'_>) {
        let mut line = Self { text: [0; _], length: 0 };
        // This fails only if a Display implementation fails, and the text before that is still worth printing.
        let _ = line.write_fmt(arguments);
        // SAFETY: the format takes one text that ends with a zero, and the last byte is never written.
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

/// Prints the message of a panic, and stops the system as other bugs of drivers do.
pub fn bug_check(info: &PanicInfo<'_>) -> ! {
    /// "The driver's process has ended by a panic": from the range of codes that no one has assigned.
    const RUST_PANIC: BUGCHECK_ERROR = 0x5255_5354;
    Line::print(format_args!("{info}"));
    let line = info.location().map_or(0, Location::line);
    // SAFETY: it may be called from anywhere. It does not return.
    unsafe { KeBugCheckEx(RUST_PANIC, line as usize, 0, 0, 0) };
    // The compiler does not know that the call does not return.
    loop {
        core::hint::spin_loop();
    }
}
