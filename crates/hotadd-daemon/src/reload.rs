//! SIGHUP: reads the configuration again and puts its changes into force, while everything else continues.

use std::sync::Arc;

use super::Message;
use super::config::{Config, HardwareKeys, Kind, Party};
use super::manager::Manager;
use crate::view::Weight;

impl Manager {
    /// Reloads the configuration if that was requested. Its parties register on a thread of their own.
    pub(super) fn reload_if_asked(&mut self) {
        if !self.reloading.may_begin || !std::mem::take(&mut self.reloading.asked) {
            return;
        }
        self.reloading.may_begin = false;
        if let Err(error) = self.notify.reloading() {
            let says =
                format!("hotadd: RELOADING=1 cannot be sent to the service manager: {error}");
            self.log.line(Weight::Bad, &says);
        }
        let config = match Config::load(self.file.as_deref()) {
            Ok(config) => config,
            Err(wrong) => return self.reloaded(Err(wrong)),
        };
        let (config, stays) = config.in_place_of(&self.config);
        for key in stays {
            let says = format!(
                "{key} cannot change while the daemon runs and keeps its value; restart the daemon \
                 to change it"
            );
            self.log.line(Weight::Bad, &says);
        }
        let specs: Vec<_> = config.parties.iter().map(Party::spec).collect();
        let timeout = config.limits.timeout();
        if timeout != self.config.limits.timeout() {
            let lines = self.parties.lines();
            let keep =
                specs.iter().filter(|spec| spec.timeout.is_none() && lines.contains(&spec.text));
            for spec in keep {
                let old = humantime::format_duration(self.config.limits.timeout());
                let says =
                    format!("{} keeps its time limit of {old} until it registers again", spec.name);
                self.log.line(Weight::Plain, &says);
            }
        }
        // Both the old and the new names: none of these parties may be taken for one that connected to the socket.
        let both = self.config.parties.iter().chain(&config.parties);
        self.state_file.configured(both.map(|party| party.spec().name).collect());
        let (terms, parties) = (self.terms(timeout), Arc::clone(&self.parties));
        let (governed, done) = (self.governed.clone(), self.sender.clone());
        let change = move || {
            let changed = parties.change(terms, &specs);
            let changed = changed.map(|()| {
                // Waits for an add under way, as registering does.
                governed.govern_as(&config.hardware);
                Box::new(config)
            });
            let _ = done.send(Message::Reloaded(changed));
        };
        let thread = std::thread::Builder::new().name("hotadd-drivers".to_owned()).spawn(change);
        if let Err(error) = thread {
            self.reloaded(Err(error.to_string()));
        }
    }

    /// Handles the end of a reload: either a new configuration is in force, or the old one stays.
    pub(super) fn reloaded(&mut self, outcome: Result<Box<Config>, String>) {
        match outcome {
            Ok(config) => {
                let begin_again = config.hardware.at_start != self.config.hardware.at_start;
                self.config = *config;
                self.log.line(Weight::Plain, "the configuration was reloaded");
                // Otherwise the new value applies when adding begins.
                if begin_again && self.rejoin.is_none() {
                    self.begin_adding();
                }
                self.say(&format!("READY=1\n{}", self.status()));
            }
            Err(why) => {
                let says = format!("hotadd: the configuration was not reloaded: {why}");
                self.log.line(Weight::Bad, &says);
                let stays =
                    "the configuration could not be reloaded; the previous one stays in force";
                self.say(&format!("READY=1\n{}; {stays}", self.status()));
            }
        }
        let names = self.config.parties.iter().map(|party| party.spec().name).collect();
        self.state_file.configured(names);
        self.reloading.may_begin = true;
        self.reload_if_asked();
    }
}

impl Config {
    /// This configuration, with the old values of what cannot change while the daemon runs. Also returns the keys that would have
    /// changed.
    fn in_place_of(mut self, old: &Self) -> (Self, Vec<&'static str>) {
        let mut stays = Vec::new();
        if self.hardware.kind != old.hardware.kind {
            stays.push("hardware.kind");
            // The other hardware keys depend on the kind.
            self.hardware = old.hardware.clone();
        }
        if self.hardware.kind == Kind::Simulated && self.hardware.world() != old.hardware.world() {
            stays.push("hardware.simulate, plug or plug-every");
            let at_start = self.hardware.at_start;
            self.hardware = HardwareKeys { at_start, ..old.hardware.clone() };
        }
        let (new, service) = (&self.service, &old.service);
        let of_service = [
            (new.name != service.name, "service.name"),
            (new.socket != service.socket, "service.socket"),
            (new.group != service.group, "service.group"),
            (new.bus != service.bus, "service.bus"),
            (new.metrics != service.metrics, "service.metrics"),
            (new.trace != service.trace, "service.trace"),
        ];
        stays.extend(of_service.iter().filter(|(differs, _)| *differs).map(|(_, key)| key));
        self.service = service.clone();
        (self, stays)
    }
}
