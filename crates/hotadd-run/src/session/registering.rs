//! The parties of a run: serves those in other processes, registers those of the command line, and deregisters all.

use std::sync::Arc;

use hotadd_daemon::descriptors;
use hotadd_daemon::parties::{Beginning, Terms};
use hotadd_daemon::spec::DriverSpec;
use hotadd_service::{Service, ServiceError};

use super::{Session, TICK};
use crate::display::{Display, News};
use crate::failure::CannotBegin;
use crate::message::Message;
use crate::options::Options;

impl<D: Display> Session<D> {
    /// Starts the service for parties in other processes, if there are to be any.
    pub(super) fn serve(&self, options: &Options) -> Result<Option<Arc<Service>>, ServiceError> {
        let service = match &options.name {
            Some(name) => {
                descriptors::raise();
                let path = hotadd_service::runtime_dir().join(name);
                let service = Service::listen(&self.partition, name, &path)?;
                if let Some(bus) = &options.bus {
                    service.join_bus(bus)?;
                }
                service
            }
            // Disconnected peers and the reasons are reported by events, so nothing is logged here.
            None if options.metrics.is_some()
                || options.drivers.iter().any(DriverSpec::is_isolated) =>
            {
                Service::new(&self.partition, "run", Arc::new(|_| ()))?
            }
            None => return Ok(None),
        };
        if let Some(address) = &options.metrics {
            // Fails only when the run is over.
            let _ = self.sender.send(Message::Metrics(service.serve_metrics(address)?));
        }
        service.restart_by(self.parties.restart());
        Ok(Some(Arc::new(service)))
    }

    /// Registers the drivers on a thread of its own, because one may take long. The run is shown meanwhile.
    pub(super) fn register(&mut self, terms: Terms) -> Result<(), CannotBegin> {
        const CANNOT: &str = "the run cannot begin";
        let (parties, done) = (Arc::clone(&self.parties), self.sender.clone());
        let register_all = move || {
            let _ = done.send(Message::Registered(parties.begin(terms, Beginning::WithAll)));
        };
        std::thread::Builder::new()
            .name("hotadd-drivers".to_owned())
            .spawn(register_all)
            .map_err(CannotBegin::by(CANNOT))?;
        loop {
            match self.messages.recv_timeout(TICK) {
                Ok(Message::Registered(all)) => return all.map_err(CannotBegin::by(CANNOT)),
                Ok(message) => self.take(message),
                Err(_) => {}
            }
            self.display.show(News::Time, &self.view);
            if let Some(signal) = self.signal {
                let code = u8::try_from(128 + signal).unwrap_or(u8::MAX);
                let reason = "ended by a signal before the run began".to_owned();
                return Err(CannotBegin { code, reason });
            }
        }
    }

    /// Stops the service and deregisters all parties.
    pub(super) fn leave(&mut self) {
        let (parties, done) = (Arc::clone(&self.parties), self.sender.clone());
        let (service, load) = (self.service.take(), self.load.take());
        let done = move || drop(done.send(Message::Left));
        let left = parties.leave(service, load, done, |within| {
            match self.messages.recv_timeout(within) {
                Ok(Message::Left) => return Some(true),
                Ok(message) => self.take(message),
                Err(_) => return Some(false),
            }
            None
        });
        if !left {
            let waiting = self.view.waiting.as_ref();
            let who = waiting.map_or("a driver", |waiting| waiting.driver.as_str());
            self.display.wrong(&format!("{who} is still busy; not waiting for it"));
        }
    }
}
