//! [`Config`]: the daemon's configuration file, and in which line and key it is wrong.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hotadd::CpuList;
use hotadd::hardware::{Hardware, Simulated};
use hotadd::ownership::{self, Untrusted};
use hotadd_service::script::Script;
use hotadd_service::{Access, BusAddress, MetricsAddress};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::spec::{DriverSpec, SimulateSpec, What, WhenMissing};
use crate::values;

/// The configuration's path unless another is given.
pub const FILE: &str = "/etc/hotadd/hotadd.toml";

/// What the daemon does, and with which parties.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) hardware: HardwareKeys,
    pub(crate) service: ServiceKeys,
    pub(crate) limits: Limits,
    #[serde(rename = "party")]
    pub(crate) parties: Vec<Party>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HardwareKeys {
    pub(crate) kind: Kind,
    /// For hotplug: what happens to processors that other software brings online.
    pub(crate) policy: Option<Spanned<Policy>>,
    /// What happens to processors that are off when the daemon starts.
    pub(crate) at_start: AtStart,
    /// For simulated: how many processors, and their faults.
    pub(crate) simulate: Option<Spanned<Text<SimulateSpec>>>,
    /// For simulated: processors that are not plugged in at first, but later, one by one.
    pub(crate) plug: Option<Spanned<Text<CpuList>>>,
    /// The time between two of them.
    pub(crate) plug_every: Option<Spanned<Text<Every>>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[default]
    Hotplug,
    Simulated,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Policy {
    Report,
    Revoke,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AtStart {
    /// Parties are asked about processors that nothing was decided about yet, and not about one that was refused before.
    #[default]
    Undecided,
    /// Parties are asked about all of them.
    Add,
    /// The processors stay off.
    Leave,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServiceKeys {
    pub(crate) name: Option<Text<Name>>,
    pub(crate) socket: Option<Text<AbsolutePath>>,
    /// The group whose members may do everything.
    pub(crate) group: Option<Text<Group>>,
    pub(crate) bus: Option<Text<Bus>>,
    /// Where metrics are served.
    pub(crate) metrics: Option<Text<MetricsAddress>>,
    /// Where a trace is written.
    pub(crate) trace: Option<Text<AbsolutePath>>,
}

/// The message bus to join.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bus {
    None,
    On(BusAddress),
}

impl FromStr for Bus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            bus => values::bus(bus)
                .map(Self::On)
                .map_err(|why| format!("{why}; none is also accepted")),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    timeout: Option<Text<Limit>>,
    rejoin: Option<Text<Rejoin>>,
}

impl Limits {
    /// How long the daemon waits for parties that were registered with the previous daemon.
    pub(crate) fn rejoin(&self) -> Duration {
        self.rejoin.as_ref().map_or(Duration::from_secs(2), |Text(rejoin)| rejoin.0)
    }

    /// The time limit of an answer of a party in another process.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.as_ref().map_or(Duration::from_secs(5), |Text(limit)| limit.0)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Party {
    pub(crate) driver: Text<DriverSpec>,
    /// What happens to adds while it is missing (L4).
    #[serde(rename = "when-missing")]
    when_missing: Option<Spanned<WhenMissing>>,
}

impl Party {
    pub(crate) fn spec(&self) -> DriverSpec {
        let mut spec = self.driver.0.clone();
        if let Some(when_missing) = &self.when_missing {
            spec.when_missing = Some(*when_missing.get_ref());
        }
        spec
    }
}

/// A value that is written as a string.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text<T>(pub(crate) T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A string that is parsed by one of the command line's parsers.
macro_rules! read_by {
    ($($name:ident($type:ty) by $read:path;)*) => {$(
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $name(pub(crate) $type);

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                $read(text).map(Self)
            }
        }
    )*};
}

read_by! {
    Every(Duration) by values::duration;
    Limit(Duration) by values::timeout;
    Rejoin(Duration) by rejoin;
    Name(String) by values::name;
    AbsolutePath(PathBuf) by absolute;
    Group(Access) by group;
}

fn group(text: &str) -> Result<Access, String> {
    Access::machine(text).map_err(|error| error.to_string())
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err(format!("{text:?} does not begin with /")) }
}

fn rejoin(text: &str) -> Result<Duration, String> {
    let time = values::duration(text)?;
    if time > values::LONGEST_TIMEOUT { Err("it is longer than 10m".to_owned()) } else { Ok(time) }
}

/// The largest configuration, in bytes: it holds thousands of parties.
const MOST_BYTES: u64 = 1 << 20;

/// Reads a configuration. No other user may be able to change it, because it names programs to run. A pipe or a device is
/// refused: reading it could wait forever.
fn whole(file: &Path) -> Result<String, Untrusted> {
    let unreadable = |error| Untrusted::Unreadable { path: file.to_owned(), error };
    let bytes = ownership::read(&ownership::file(file)?, MOST_BYTES).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| unreadable(io::Error::other(error)))
}

impl Config {
    /// Reads a file; without one the usual file, or the defaults if that does not exist. The error says what is wrong, and where.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, String> {
        let file = path.unwrap_or(Path::new(FILE));
        match whole(file) {
            Ok(text) => Self::read(&text).map_err(|wrong| format!("{}:{wrong}", file.display())),
            Err(why) if path.is_none() && why.is_missing() => Ok(Self::default()),
            Err(why) => Err(why.to_string()),
        }
    }

    /// The party whose program or file would not be run, because it does not exist or other users could change it. The daemon
    /// starts without it, and the party is missing (L4).
    pub(crate) fn unusable(&self) -> Option<String> {
        let why = |spec: &DriverSpec| match &spec.what {
            What::Exec(exec) => Script::new(&exec.path).err().map(|error| error.to_string()),
            What::File(file) => file.unusable(),
            What::Sample(_) => None,
        };
        let mut parties = self.parties.iter().enumerate();
        parties.find_map(|(nth, party)| {
            why(&party.driver.0).map(|why| format!("party[{nth}].driver: {why}"))
        })
    }

    /// Reads a configuration. An error has the form `LINE: KEY: WHAT`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let syntax = |error: &toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            format!("{}: {}", line(at), error.message().replace('\n', ", "))
        };
        let parsed = toml::Deserializer::parse(text).map_err(|error| syntax(&error))?;
        let config: Self = serde_path_to_error::deserialize(parsed).map_err(|error| {
            let path = error.path().to_string();
            // The wrapper that carries a value's position is not a key.
            let keys: Vec<_> = path.split('.').filter(|key| !key.starts_with("$_")).collect();
            let wrong = error.inner();
            let at = wrong.span().map_or(0, |span| span.start);
            let what = wrong.message().replace('\n', ", ");
            match keys.join(".").as_str() {
                "" => format!("{}: {what}", line(at)),
                key => format!("{}: {key}: {what}", line(at)),
            }
        })?;
        config
            .hardware
            .check()
            .map_err(|(at, key, what)| format!("{}: hardware.{key}: {what}", line(at)))?;
        for (nth, party) in config.parties.iter().enumerate() {
            if let (Some(key), Some(_)) = (&party.when_missing, party.driver.0.when_missing) {
                let at = line(key.span().start);
                return Err(format!(
                    "{at}: party[{nth}].when-missing: it is already set in driver"
                ));
            }
        }
        Ok(config)
    }
}

/// An error: position, key and description.
type Wrong = (usize, &'static str, String);

impl HardwareKeys {
    fn check(&self) -> Result<(), Wrong> {
        match self.kind {
            Kind::Hotplug => {
                let places = [
                    ("simulate", self.simulate.as_ref().map(Spanned::span)),
                    ("plug", self.plug.as_ref().map(Spanned::span)),
                    ("plug-every", self.plug_every.as_ref().map(Spanned::span)),
                ];
                let found = places.into_iter().find_map(|(key, place)| Some((place?.start, key)));
                found.map_or(Ok(()), |(at, key)| Err((at, key, needs(Kind::Simulated))))
            }
            Kind::Simulated => match &self.policy {
                Some(policy) => Err((policy.span().start, "policy", needs(Kind::Hotplug))),
                None => self.simulation().map(drop),
            },
        }
    }

    /// The simulated processors. Those to be plugged in later are not plugged in yet.
    pub(crate) fn simulation(&self) -> Result<Arc<Simulated>, Wrong> {
        let at = self.simulate.as_ref().map_or(0, |spec| spec.span().start);
        let wrong = |what: String| (at, "simulate", what);
        let hardware = match &self.simulate {
            None => Simulated::new(4, 4).map_err(|error| wrong(error.to_string()))?,
            Some(spec) => {
                let Text(spec) = spec.get_ref();
                let hardware = Simulated::new(spec.active, spec.spare);
                let hardware = hardware.map_err(|error| wrong(error.to_string()))?;
                spec.furnish(&hardware).map_err(wrong)?;
                hardware
            }
        };
        if let Some(plug) = &self.plug {
            for &id in plug.get_ref().0.ids() {
                if !hardware.candidates().is_ok_and(|off| off.contains(&id)) {
                    let what = format!("processor {id} is not a spare processor of the simulation");
                    return Err((plug.span().start, "plug", what));
                }
                hardware.unplug(id);
            }
        }
        Ok(hardware)
    }

    /// The properties of simulated processors that are fixed at the start.
    pub(super) fn world(&self) -> impl PartialEq + use<'_> {
        let simulate = self.simulate.as_ref().map(Spanned::get_ref);
        (simulate, self.plug.as_ref().map(Spanned::get_ref), self.plug_every())
    }

    /// The time between plugging in one processor and the next.
    pub(crate) fn plug_every(&self) -> Duration {
        self.plug_every.as_ref().map_or(Duration::from_secs(1), |every| every.get_ref().0.0)
    }
}

fn needs(kind: Kind) -> String {
    format!(
        "it is only valid with hardware.kind = \"{}\"",
        match kind {
            Kind::Hotplug => "hotplug",
            Kind::Simulated => "simulated",
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        Config::read(text).unwrap_err()
    }

    #[test]
    fn an_empty_configuration_has_the_documented_defaults() {
        let config = Config::read("").unwrap();
        assert_eq!(config.hardware.kind, Kind::Hotplug);
        assert_eq!(
            config.hardware.at_start,
            AtStart::Undecided,
            "processors that came before the daemon are added"
        );
        assert_eq!(config.limits.rejoin(), Duration::from_secs(2));
        assert!(config.hardware.policy.is_none() && config.parties.is_empty());
        assert!(config.service.metrics.is_none() && config.service.trace.is_none());
        assert_eq!(config.limits.timeout(), Duration::from_secs(5));
    }

    #[test]
    fn the_documented_configuration_is_valid_and_shows_the_defaults() {
        let page = include_str!("../../../docs/daemon.md");
        let (_, block) = page.split_once("```toml\n").unwrap();
        let text = block.split("```").next().unwrap();
        let config = Config::read(text).unwrap();
        assert_eq!((config.hardware.kind, config.hardware.at_start), Default::default());
        assert_eq!(config.limits.timeout(), Limits::default().timeout());
        assert_eq!(config.limits.rejoin(), Limits::default().rejoin());
        assert_eq!(config.parties.len(), 1);
        let tried = text.replace("# simulate", "simulate").replace("# plug", "plug");
        let tried = tried.replace("\"hotplug\"", "\"simulated\"").replace("policy", "# policy");
        let simulation = Config::read(&tried).unwrap().hardware.simulation().unwrap();
        assert_eq!(
            simulation.candidates().unwrap().len(),
            2,
            "2 of the 4 spare processors are plugged in later"
        );
    }

    #[test]
    fn every_setting_is_read() {
        let config = Config::read(
            "[hardware]\nkind = 'simulated'\nat-start = 'add'\nsimulate = '2+4,delay=1'\nplug = '4-5'\nplug-every = '10ms'\n\
             [service]\nname = 'try'\nsocket = '/run/x/try'\ngroup = 'root'\nbus = 'none'\n[limits]\ntimeout = '250ms'\n\
             [[party]]\ndriver = 'exec:/bin/true,level=-1'\n[[party]]\ndriver = 'sample:veto=3'\n",
        )
        .unwrap();
        let simulation = config.hardware.simulation().unwrap();
        assert_eq!(simulation.candidates().unwrap().len(), 2, "4 and 5 are plugged in later");
        assert_eq!(config.hardware.plug_every(), Duration::from_millis(10));
        assert_eq!(config.limits.timeout(), Duration::from_millis(250));
        let levels: Vec<_> = config.parties.iter().map(|party| party.driver.0.level).collect();
        assert_eq!(levels, [-1, 0], "in the order given");
    }

    #[test]
    fn an_invalid_configuration_is_reported_with_line_and_key() {
        let cases = [
            (
                "\n\n[hardware]\n\npolicy = 'revok'\n",
                "5: hardware.policy: unknown variant `revok`, expected `report` or `revoke`",
            ),
            (
                "[hardware]\nkind = 'real'",
                "2: hardware.kind: unknown variant `real`, expected `hotplug` or `simulated`",
            ),
            (
                "[hardware]\npolcy = 'report'",
                "2: hardware.polcy: unknown field `polcy`, expected one of `kind`, ",
            ),
            (
                "[hardwear]\n",
                "1: hardwear: unknown field `hardwear`, expected one of `hardware`, `service`, `limits`, `party`",
            ),
            (
                "[limits]\ntimeout = '5'",
                "2: limits.timeout: time unit needed, for example 5sec or 5ms; write it like 500ms or 2s",
            ),
            (
                "[limits]\ntimeout = 5",
                "2: limits.timeout: invalid type: integer `5`, expected a string",
            ),
            ("[limits]\nrejoin = '1h'", "2: limits.rejoin: it is longer than 10m"),
            ("[limits]\ntimeout = '1h'", "2: limits.timeout: a time limit must be from 1ms to 10m"),
            ("[service]\nname = '.x'", "2: service.name: a name has 1 to 64 characters of"),
            (
                "[service]\ngroup = 'hotadd-no-such-group'",
                "2: service.group: there is no group hotadd-no-such-group; create it with `groupadd --system ",
            ),
            (
                "[service]\nbus = 'all'",
                "2: service.bus: a bus must be session, system or an address such as ",
            ),
            ("[service]\nmetrics = 'x'", "2: service.metrics: write it like unix:/run/hotadd/"),
            ("[service]\ntrace = 'x'", "2: service.trace: \"x\" does not begin with /"),
            ("[service]\nsocket = 'x'", "2: service.socket: \"x\" does not begin with /"),
            (
                "[[party]]\ndriver = 'sample'\n[[party]]\ndriver = 'smaple'",
                "4: party[1].driver: there is no driver \"smaple\"",
            ),
            (
                "[[party]]\ndriver = 'sample'\nwhen-missing = 'ask'",
                "3: party[0].when-missing: unknown variant `ask`, expected `refuse` or `skip`",
            ),
            (
                "[[party]]\ndriver = 'sample:when-missing=skip'\nwhen-missing = 'refuse'",
                "3: party[0].when-missing: it is already set in driver",
            ),
            ("[[party]]\n", "1: party[0]: missing field `driver`"),
            (
                "[hardware]\nplug = '9'",
                "2: hardware.plug: it is only valid with hardware.kind = \"simulated\"",
            ),
            (
                "[hardware]\nkind = 'simulated'\nplug = '9'",
                "3: hardware.plug: processor 9 is not a spare processor of the simulation",
            ),
            (
                "[hardware]\nkind = 'simulated'\npolicy = 'report'",
                "3: hardware.policy: it is only valid with hardware.kind = \"hotplug\"",
            ),
            (
                "[hardware]\nkind = 'simulated'\nsimulate = '0+1'",
                "3: hardware.simulate: a partition needs at least one active processor",
            ),
            (
                "[hardware]\nkind = 'simulated'\nsimulate = '1'",
                "3: hardware.simulate: \"1\" is neither ACTIVE+SPARE, such as 4+4, nor PACKAGES",
            ),
            ("[hardware]\nkind = \n", "2: "),
        ];
        for (text, says) in cases {
            let why = why(text);
            assert!(
                why.starts_with(says),
                "{text:?} should be answered by {says:?}, and is by {why:?}"
            );
            assert!(!why.contains('\n'), "one line: {why:?}");
        }
    }
}
