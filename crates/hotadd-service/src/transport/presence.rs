//! Stays on a bus for as long as the service lives: if the connection to the bus ends, the bus is joined again.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use hotadd_wire::BusAddress;
use tokio::time::{Instant, sleep, timeout};

use crate::object::core::Core;
use crate::transport::bus::Bus;

/// The time limit of joining a bus.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before joining a bus again: after the first try, and at most after many tries.
const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(30);

/// After a connection of this length, the wait starts at its minimum again.
const GOOD: Duration = Duration::from_secs(10);

/// Joins a bus, reports whether that worked, and stays on it.
pub(crate) async fn on_bus(
    core: Arc<Core>,
    address: BusAddress,
    joined: Sender<Result<(), String>>,
) {
    match join(&core, &address).await {
        // The bus is kept only if the caller still waits for the result.
        Ok(bus) if joined.send(Ok(())).is_ok() => keep_joined(core, address, bus).await,
        Ok(_) => {}
        Err(reason) => drop(joined.send(Err(reason))),
    }
}

/// Joins a bus as soon as it is available, and stays on it. Reports the result of the first try; the caller need not
/// wait for it.
pub(crate) async fn when_there(core: Arc<Core>, address: BusAddress, first: Sender<bool>) {
    let bus = match join(&core, &address).await {
        Ok(bus) => {
            if first.send(true).is_err() {
                (core.log)(&format!("joined {address}"));
            }
            bus
        }
        Err(reason) => {
            let says = format!("cannot join {address} yet; retrying: {reason}");
            (core.log)(&says);
            let _ = first.send(false);
            let mut wait = FIRST;
            let bus = again(&core, &address, &mut wait, true).await;
            (core.log)(&format!("joined {address}"));
            bus
        }
    };
    keep_joined(core, address, bus).await;
}

/// Serves the bus until the service ends. If the connection ends before, joins the bus again.
async fn keep_joined(core: Arc<Core>, address: BusAddress, mut bus: Bus) {
    let mut wait = FIRST;
    loop {
        let began = Instant::now();
        bus.serve().await;
        if core.is_stopping() {
            return;
        }
        if began.elapsed() >= GOOD {
            wait = FIRST;
        }
        bus = again(&core, &address, &mut wait, false).await;
        (core.log)(&format!("joined {address} again"));
    }
}

/// Joins again, and retries until it works.
async fn again(
    core: &Arc<Core>,
    address: &BusAddress,
    wait: &mut Duration,
    mut complained: bool,
) -> Bus {
    loop {
        sleep(*wait).await;
        *wait = (*wait * 2).min(LAST);
        match join(core, address).await {
            Ok(bus) => return bus,
            // The failure is logged only once.
            Err(_) if complained => {}
            Err(reason) => {
                complained = true;
                (core.log)(&format!("cannot join {address} again yet; retrying: {reason}"));
            }
        }
    }
}

async fn join(core: &Arc<Core>, address: &BusAddress) -> Result<Bus, String> {
    let joining = Bus::join(Arc::clone(core), address.clone());
    timeout(PATIENCE, joining).await.unwrap_or_else(|_| Err("it does not answer".to_owned()))
}
