//! The machine's own partition in a guest: asks for every processor that is plugged in, and says what came of it. A driver of
//! ours wants no processor 3.
//!
//! `lab-hotplug UP END`: writes to the pipe UP when it listens, and ends when something was written to the pipe END.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::thread;

use hotadd::hardware::{Hotplug, HotplugOptions};
use hotadd::{Event, EventKind, HardwareId, Notice, Partition, State, Status, Veto};

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args().skip(1);
    let (Some(up), Some(end)) = (paths.next(), paths.next()) else {
        return Err("usage: lab-hotplug UP END".into());
    };
    let hotplug = Arc::new(Hotplug::new(HotplugOptions::new())?);
    let partition = Partition::over(Arc::clone(&hotplug) as _)?;
    let arrivals = hotplug.arrivals()?;
    let _observation = partition.observe(say)?;
    let _registration = partition.register("three", |notice: &Notice| {
        if notice.state() == State::AddStart && notice.processor().id == HardwareId(3) {
            return Err(Veto::new(Status::INSUFFICIENT_RESOURCES, "not three"));
        }
        Ok(())
    })?;
    let asked = partition.clone();
    thread::spawn(move || {
        for id in arrivals {
            // What becomes of it is said by the observer.
            let _ = asked.add(id);
        }
    });
    fs::write(up, "up\n")?;
    fs::read(end)?;
    Ok(())
}

/// One line for each change of the set, and for what is refused.
fn say(event: &Event) {
    let Some(id) = event.id else { return };
    let reason = event.reason.as_deref().unwrap_or_default();
    match event.kind {
        EventKind::Joined if event.agreed => println!("{id} joined"),
        EventKind::Joined => println!("{id} joined without agreement"),
        EventKind::Left if event.surprise => println!("{id} vanished"),
        EventKind::Left => println!("{id} left"),
        EventKind::Refused => println!("{id} refused: {reason}"),
        _ => {}
    }
}
