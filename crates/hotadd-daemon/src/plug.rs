//! Plugs in simulated processors one after the other, as a hypervisor does with real ones.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use hotadd::CpuList;
use hotadd::hardware::Simulated;

/// Plugs the processors in on a thread of its own. Dropping the returned sender ends it.
pub(super) fn begin(
    hardware: Arc<Simulated>,
    ids: CpuList,
    every: Duration,
) -> io::Result<Sender<()>> {
    let (stop, stopped) = mpsc::channel();
    let plug_all = move || {
        for &id in ids.ids() {
            if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            hardware.plug(id);
        }
    };
    std::thread::Builder::new().name("hotadd-plug".to_owned()).spawn(plug_all)?;
    Ok(stop)
}
