//! Finding the process and its threads by their ids.

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::foreign::Out;
use crate::ground::thread;
use crate::ground::types::{NtStatus, nt_status};
use crate::kernel::ob::references::{self, Kind};
use crate::kernel::ob::types::PsInitialSystemProcess;

/// `STATUS_INVALID_CID`: nothing has this id.
const INVALID_CID: Status = Status::from_raw(0xC000_000B);

nt! {
    /// The process with an id, with a reference that the caller has to remove. There is only this one.
    fn PsLookupProcessByProcessId(id: usize, process: Out<usize>) -> NtStatus {
        let known = (id == std::process::id() as usize).then(|| PsInitialSystemProcess.address());
        nt_status(give(known, Kind::Process, process))
    }

    /// The thread with an id, with a reference that the caller has to remove. Threads that ran no code of a driver
    /// are not found.
    fn PsLookupThreadByThreadId(id: usize, to: Out<usize>) -> NtStatus {
        nt_status(give(thread::by_number(id), Kind::Thread, to))
    }
}

fn give(found: Option<usize>, kind: Kind, to: Out<usize>) -> Status {
    let Some(object) = found else { return INVALID_CID };
    references::add(object, kind);
    to.put(object);
    Status::SUCCESS
}
