//! Attaching a thread to a process. There is one process, so this changes nothing; it is checked for balance.

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::Out;
use crate::ground::thread::{self, Held};
use crate::kernel::ke::irql;
use crate::kernel::ob::types::PsInitialSystemProcess;

/// `KAPC_STATE`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct State {
    apcs: [usize; 4],
    process: usize,
    /// Whether APCs are in progress, and pending.
    flags: [u8; 8],
}

const _: () = assert!(size_of::<State>() == 0x30);

nt! {
    /// Attaches the calling thread to a process.
    fn KeStackAttachProcess(process: usize, state: Out<State>) {
        irql::at_most("KeStackAttachProcess", irql::DISPATCH);
        attach(process, state);
    }

    /// Detaches it again.
    fn KeUnstackDetachProcess(state: Out<State>) { detach(state) }
}

fn attach(process: usize, state: Out<State>) {
    let own = PsInitialSystemProcess.address();
    if process != own {
        caller::fault(format!(
            "calls KeStackAttachProcess for {process:#x}, which is not a process"
        ));
    }
    state.put(State { apcs: [0; 4], process: own, flags: [0; 8] });
    thread::own().acquired(Held::Process, state.as_ptr() as usize);
}

fn detach(state: Out<State>) {
    irql::at_most("KeUnstackDetachProcess", irql::DISPATCH);
    if !thread::own().released(Held::Process, state.as_ptr() as usize) {
        caller::fault(
            "calls KeUnstackDetachProcess with a state that no KeStackAttachProcess of this thread has filled in",
        );
    }
}
