//! The syntax of `--driver` and `--simulate`: `word[:option[,option]...]`.

mod driver;
mod file;

use std::str::FromStr;
use std::time::Duration;

use hotadd::hardware::{Hardware, Simulated};
use hotadd::{CpuList, Errno, HardwareId, Shape, ShapeError, text};

pub use self::driver::{DriverSpec, ExecSpec, Fault, FileSpec, SampleSpec, What, WhenMissing};

/// The longest delay that a specification may ask for.
const LONGEST_DELAY_MS: u64 = 600_000;

/// `ACTIVE+SPARE[,fail-start=LIST][,delay=MS]`, or `PACKAGESxCORESxTHREADS[,active=N]…`: a machine of this shape, of which the first
/// processor is active, or the first N.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulateSpec {
    /// How many processors are active at first.
    pub active: u32,
    /// How many can be added.
    pub spare: u32,
    /// Where the processors are in their machine.
    pub shape: Option<Shape>,
    /// Processors that fail to start.
    pub fail_start: CpuList,
    /// How long starting one takes.
    pub delay: Duration,
}

impl SimulateSpec {
    /// Applies the shape, the faults and the delays to a simulation of this size.
    ///
    /// # Errors
    /// A fault names a processor that the simulation does not have.
    pub fn furnish(&self, hardware: &Simulated) -> Result<(), String> {
        if let Some(shape) = self.shape {
            hardware.shape(shape);
        }
        for &id in self.fail_start.ids() {
            let admitted = hardware.admits(id);
            admitted.map_err(|why| format!("fail-start={id}: {}", why.reason))?;
            hardware.fail_start(id, Errno::EIO);
        }
        for id in (0..self.active + self.spare).map(HardwareId) {
            hardware.delay(id, self.delay);
        }
        Ok(())
    }
}

impl SimulateSpec {
    /// Lets the first `active` processors of a shape be active.
    fn activate(&mut self, active: u32) -> Result<(), String> {
        let Some(shape) = self.shape else {
            return Err("active is for a shape, such as 2x8x2; ACTIVE+SPARE has it already".into());
        };
        let all = shape.processors();
        if !(1..=all).contains(&active) {
            return Err(format!(
                "active: {active} is not from 1 to {all}, the processors of {shape}"
            ));
        }
        (self.active, self.spare) = (active, all - active);
        Ok(())
    }
}

impl FromStr for SimulateSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (size, options) = text.split_once(',').unwrap_or((text, ""));
        let count = "a number of processors";
        let (active, spare, shape) = match size.split_once('+') {
            Some((active, spare)) => {
                (number("ACTIVE", active, count)?, number("SPARE", spare, count)?, None)
            }
            None if size.contains('x') => {
                let shape: Shape = size.parse().map_err(|error: ShapeError| error.to_string())?;
                (1, shape.processors() - 1, Some(shape))
            }
            None => {
                return Err(format!(
                    "{size:?} is neither ACTIVE+SPARE, such as 4+4, nor PACKAGESxCORESxTHREADS, such as 2x8x2"
                ));
            }
        };
        let mut spec =
            Self { active, spare, shape, fail_start: CpuList::default(), delay: Duration::ZERO };
        for (key, value) in options_of(options, &[])? {
            match key {
                "fail-start" => spec.fail_start = list(key, &value)?,
                "delay" => spec.delay = delay(&value)?,
                "active" => spec.activate(number(key, &value, count)?)?,
                _ => {
                    return Err(format!(
                        "there is no option {key:?}; the options are fail-start, delay and, for a shape, active"
                    ));
                }
            }
        }
        Ok(spec)
    }
}

/// `key=value,word,key=value`. A part that has no `=` and is not one of the `words` continues the value before it, because lists
/// contain commas too. Words have empty values.
fn options_of<'a>(text: &'a str, words: &[&str]) -> Result<Vec<(&'a str, String)>, String> {
    let mut options: Vec<(&str, String)> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let option = part.split_once('=').or_else(|| words.contains(&part).then_some((part, "")));
        match (option, options.last_mut()) {
            (Some((key, value)), _) => {
                if options.iter().any(|(k, _)| *k == key) {
                    return Err(format!("{key} is given twice"));
                }
                options.push((key, value.to_owned()));
            }
            (None, Some((last, value))) if !words.contains(last) => {
                value.push(',');
                value.push_str(part);
            }
            (None, _) => return Err(format!("{part:?} is not KEY=VALUE")),
        }
    }
    Ok(options)
}

/// Returns the driver if its name is a valid party name (R7).
fn with_name(driver: DriverSpec) -> Result<DriverSpec, String> {
    if text::is_name(&driver.name) {
        return Ok(driver);
    }
    Err(format!(
        "{:?} is not a valid party name: a name has 1 to 64 bytes, all printable, without spaces at either \
         end; set one with name=NAME",
        text::clean(&driver.name)
    ))
}

fn list(key: &str, value: &str) -> Result<CpuList, String> {
    let list: CpuList = value.parse().map_err(|error| format!("{key}={value}: {error}"))?;
    if list.is_empty() { Err(format!("{key}= is an empty list")) } else { Ok(list) }
}

fn number<T: FromStr>(key: &str, value: &str, like: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{key}: {value:?} is not {like}"))
}

fn delay(value: &str) -> Result<Duration, String> {
    let like = "a number of milliseconds, at most 600000";
    match number("delay", value, like)? {
        ms if ms <= LONGEST_DELAY_MS => Ok(Duration::from_millis(ms)),
        _ => Err(format!("delay: {value:?} is not {like}")),
    }
}

/// A time limit. It must not be zero.
fn time(key: &str, value: &str) -> Result<Duration, String> {
    let like = "a number of milliseconds from 1 to 600000";
    match number(key, value, like)? {
        ms @ 1..=LONGEST_DELAY_MS => Ok(Duration::from_millis(ms)),
        _ => Err(format!("{key}: {value:?} is not {like}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r7_a_driver_with_an_invisible_name_is_refused() {
        let bad =
            ["", " ", "\u{3164}", "po\u{200b}ol", "a\u{202e}b", "a\u{1b}[2J", &"x".repeat(65)];
        for name in bad {
            for driver in ["sample:", "exec:/x,", "./x.so,"] {
                let why = format!("{driver}name={name}").parse::<DriverSpec>().unwrap_err();
                assert!(why.contains("is not a valid party name"), "{driver}{name:?}: {why}");
                assert!(text::is_clean(&why), "{why:?} prints the invisible characters");
            }
        }
        let why = "exec:/etc/po\u{ad}ol".parse::<DriverSpec>().unwrap_err();
        assert!(why.contains("name=NAME"), "a file name is not a valid name either: {why}");
        assert_eq!("exec:/etc/po\u{ad}ol,name=pool".parse::<DriverSpec>().unwrap().name, "pool");
    }

    #[test]
    fn a_simulation_is_read_with_all_its_options() {
        let spec: SimulateSpec = "4+60,fail-start=7,9-10,delay=3".parse().unwrap();
        assert_eq!((spec.active, spec.spare), (4, 60));
        assert_eq!(spec.fail_start.to_string(), "7,9-10");
        assert_eq!(spec.delay, Duration::from_millis(3));
    }

    #[test]
    fn a_simulation_may_have_the_shape_of_a_machine() {
        let spec: SimulateSpec = "2x8x2,fail-start=7".parse().unwrap();
        assert_eq!((spec.active, spec.spare), (1, 31), "one processor is active at first");
        let spec: SimulateSpec = "2x8x2,active=16".parse().unwrap();
        assert_eq!((spec.active, spec.spare), (16, 16));
        let hardware = Simulated::new(spec.active, spec.spare).unwrap();
        spec.furnish(&hardware).unwrap();
        let topology = hardware.topology(HardwareId(31));
        assert_eq!((topology.package, topology.core, topology.node), (Some(1), Some(7), Some(1)));
    }

    #[test]
    fn a_malformed_simulation_is_reported_in_a_sentence() {
        let simulate = |text: &str| text.parse::<SimulateSpec>().unwrap_err();
        let neither =
            "\"4\" is neither ACTIVE+SPARE, such as 4+4, nor PACKAGESxCORESxTHREADS, such as 2x8x2";
        assert_eq!(simulate("4"), neither);
        assert_eq!(simulate("2x8"), "\"2x8\" is not PACKAGESxCORESxTHREADS, such as 2x8x2");
        assert_eq!(
            simulate("2x2x2,active=9"),
            "active: 9 is not from 1 to 8, the processors of 2x2x2"
        );
        assert!(simulate("2x2x2,active=0").contains("is not from 1 to 8"));
        assert!(simulate("4+4,active=2").contains("active is for a shape"));
        assert_eq!(simulate("4+x"), "SPARE: \"x\" is not a number of processors");
        assert_eq!(
            simulate("4+4,fial=1"),
            "there is no option \"fial\"; the options are fail-start, delay and, for a shape, active"
        );
    }
}
