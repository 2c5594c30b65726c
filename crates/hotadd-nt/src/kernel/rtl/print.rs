//! `DbgPrint` and related functions. All output of a driver goes to the console, for any component and level.

use hotadd::Status;

use crate::ground::foreign::{In, Out};
use crate::ground::types::nt_status;
use crate::ground::{caller, thread, world};
use crate::kernel::rtl::arguments::{Arguments, formatted};
use crate::kernel::rtl::format::{self, Refused, Sink};

/// The maximum length of a message. The rest of a longer one is dropped, as documented.
const LONGEST: usize = 512;

formatted! {
    /// Prints a message.
    variadic fn DbgPrint as "DbgPrint"(format: In<u8>) = print;

    /// Prints a message. Control-C cannot be typed here.
    variadic fn DbgPrintReturnControlC as "DbgPrintReturnControlC"(format: In<u8>) = print;

    /// Prints a message for a component at a level.
    variadic fn DbgPrintEx as "DbgPrintEx"(component: u32, level: u32, format: In<u8>) = print_at;

    /// Prints a message for a component at a level.
    list fn vDbgPrintEx as "vDbgPrintEx"(component: u32, level: u32, format: In<u8>) = print_at;

    /// Prints a message for a component at a level, after a prefix.
    list fn vDbgPrintExWithPrefix as "vDbgPrintExWithPrefix"(
        prefix: In<u8>,
        component: u32,
        level: u32,
        format: In<u8>,
    ) = print_behind;
}

fn print(format: In<u8>, arguments: &mut dyn Arguments) -> i32 {
    say(Vec::new(), format, arguments)
}

fn print_at(_component: u32, _level: u32, format: In<u8>, arguments: &mut dyn Arguments) -> i32 {
    say(Vec::new(), format, arguments)
}

fn print_behind(
    prefix: In<u8>,
    _component: u32,
    _level: u32,
    format: In<u8>,
    arguments: &mut dyn Arguments,
) -> i32 {
    say(prefix.terminated(), format, arguments)
}

fn say(mut text: Vec<u8>, format: In<u8>, arguments: &mut dyn Arguments) -> i32 {
    let mut sink = Sink::new(LONGEST);
    match format::format(format, arguments, &mut sink) {
        Ok(used) => {
            if used.float {
                caller::breach("DbgPrint: on Windows it does not support floating-point numbers");
            }
            if used.unicode && thread::own().irql.get() > 0 {
                caller::breach("DbgPrint: 16-bit text may be printed at PASSIVE_LEVEL only");
            }
        }
        Err(Refused(letter)) => caller::breach(&format!("DbgPrint: %{letter} is not supported")),
    }
    text.extend_from_slice(sink.kept());
    text.truncate(LONGEST);
    world::get().console().print(&String::from_utf8_lossy(&text));
    nt_status(Status::SUCCESS)
}
