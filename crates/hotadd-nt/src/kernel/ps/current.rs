//! The current thread, and the ids of the thread and the process.

use std::sync::atomic::Ordering;

use crate::ground::declare::nt;
use crate::ground::foreign::Shared;
use crate::ground::objects::Thread;
use crate::ground::thread;
use crate::kernel::ob::types::PsInitialSystemProcess;

nt! {
    /// The calling thread.
    fn KeGetCurrentThread() -> usize { thread::own().id() }

    /// The calling thread.
    fn PsGetCurrentThread() -> usize { thread::own().id() }

    /// The id of the calling thread, which is its id on this machine.
    fn PsGetCurrentThreadId() -> usize { number(&thread::own().object) }

    /// The id of a thread.
    fn PsGetThreadId(thread: Shared<Thread>) -> usize { number(thread.get()) }

    /// The process of all drivers.
    fn PsGetCurrentProcess() -> usize { PsInitialSystemProcess.address() }

    /// The id of this process.
    fn PsGetCurrentProcessId() -> usize { std::process::id() as usize }

    /// The id of this process. There is no other process.
    fn PsGetProcessId(_process: usize) -> usize { std::process::id() as usize }

    /// The file name of a process. Drivers run in the system's own process, which has no file, and this name.
    fn PsGetProcessImageFileName(_process: usize) -> usize { c"System".as_ptr() as usize }

    /// Whether a thread is a system thread: all threads here are.
    fn PsIsSystemThread(_thread: usize) -> u8 { 1 }
}

fn number(thread: &Thread) -> usize {
    thread.number.load(Ordering::Relaxed) as usize
}
