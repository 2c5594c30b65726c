//! Who and where one is: the current thread, and the numbers of it and the process.

use std::sync::atomic::Ordering;

use crate::ground::export::nt;
use crate::ground::foreign::Shared;
use crate::ground::objects::Thread;
use crate::ground::thread;
use crate::kernel::ob::types::PsInitialSystemProcess;

nt! {
    /// The calling thread.
    fn KeGetCurrentThread() -> usize { thread::own().id() }

    /// The calling thread.
    fn PsGetCurrentThread() -> usize { thread::own().id() }

    /// The number of the calling thread, which is what this machine's kernel calls it.
    fn PsGetCurrentThreadId() -> usize { number(&thread::own().object) }

    /// The number of a thread.
    fn PsGetThreadId(thread: Shared<Thread>) -> usize { number(thread.get()) }

    /// The process that all drivers are in.
    fn PsGetCurrentProcess() -> usize { PsInitialSystemProcess.address() }

    /// Its number.
    fn PsGetCurrentProcessId() -> usize { std::process::id() as usize }

    /// Its number. There is no other process.
    fn PsGetProcessId(_process: usize) -> usize { std::process::id() as usize }

    /// Whether a thread is one of the system: all here are.
    fn PsIsSystemThread(_thread: usize) -> u8 { 1 }
}

fn number(thread: &Thread) -> usize {
    thread.number.load(Ordering::Relaxed) as usize
}
