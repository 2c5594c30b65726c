//! The small language of `--driver` and `--simulate`: `word[:key=value[,key=value]...]`.

use std::str::FromStr;
use std::time::Duration;

use hotadd::CpuList;

/// The longest delay that a specification may ask for.
const LONGEST_DELAY_MS: u64 = 600_000;

/// `sample[:veto=LIST][,delay=MS][,level=N][,name=X]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DriverSpec {
    pub(crate) name: String,
    pub(crate) level: i32,
    pub(crate) veto: CpuList,
    pub(crate) delay: Duration,
}

/// `ACTIVE+SPARE[,fail-start=LIST][,delay=MS]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SimulateSpec {
    pub(crate) active: u32,
    pub(crate) spare: u32,
    pub(crate) fail_start: CpuList,
    pub(crate) delay: Duration,
}

impl FromStr for DriverSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, options) = text.split_once(':').unwrap_or((text, ""));
        if kind != "sample" {
            return Err(format!("there is no driver {kind:?}; the built-in one is sample"));
        }
        let mut spec = Self {
            name: "sample".to_owned(),
            level: 0,
            veto: CpuList::default(),
            delay: Duration::ZERO,
        };
        for (key, value) in options_of(options)? {
            match key {
                "veto" => spec.veto = list(key, &value)?,
                "delay" => spec.delay = delay(&value)?,
                "level" => spec.level = number(key, &value, "a whole number such as -1")?,
                "name" => spec.name = value,
                _ => {
                    return Err(format!(
                        "sample has no option {key:?}; it has veto, delay, level and name"
                    ));
                }
            }
        }
        Ok(spec)
    }
}

impl FromStr for SimulateSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (size, options) = text.split_once(',').unwrap_or((text, ""));
        let Some((active, spare)) = size.split_once('+') else {
            return Err(format!("{size:?} is not ACTIVE+SPARE, such as 4+4"));
        };
        let count = "a number of processors";
        let mut spec = Self {
            active: number("ACTIVE", active, count)?,
            spare: number("SPARE", spare, count)?,
            fail_start: CpuList::default(),
            delay: Duration::ZERO,
        };
        for (key, value) in options_of(options)? {
            match key {
                "fail-start" => spec.fail_start = list(key, &value)?,
                "delay" => spec.delay = delay(&value)?,
                _ => {
                    return Err(format!(
                        "there is no option {key:?}; there are fail-start and delay"
                    ));
                }
            }
        }
        Ok(spec)
    }
}

/// `key=value,key=value`. A part without `=` goes on with the value before it, because lists have commas too.
fn options_of(text: &str) -> Result<Vec<(&str, String)>, String> {
    let mut options: Vec<(&str, String)> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        match (part.split_once('='), options.last_mut()) {
            (Some((key, value)), _) => {
                if options.iter().any(|(k, _)| *k == key) {
                    return Err(format!("{key} is given twice"));
                }
                options.push((key, value.to_owned()));
            }
            (None, Some((_, value))) => {
                value.push(',');
                value.push_str(part);
            }
            (None, None) => return Err(format!("{part:?} is not KEY=VALUE")),
        }
    }
    Ok(options)
}

fn list(key: &str, value: &str) -> Result<CpuList, String> {
    let list: CpuList = value.parse().map_err(|error| format!("{key}={value}: {error}"))?;
    if list.is_empty() { Err(format!("{key}= names no processor")) } else { Ok(list) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_read_with_all_its_options_and_lists_keep_their_commas() {
        let spec: DriverSpec = "sample:veto=1,3-5,delay=20,level=-2,name=pool".parse().unwrap();
        assert_eq!(spec.veto.to_string(), "1,3-5");
        assert_eq!(spec.delay, Duration::from_millis(20));
        assert_eq!(spec.level, -2);
        assert_eq!(spec.name, "pool");
        assert_eq!("sample".parse::<DriverSpec>().unwrap().name, "sample");
    }

    #[test]
    fn a_simulation_is_read_with_all_its_options() {
        let spec: SimulateSpec = "4+60,fail-start=7,9-10,delay=3".parse().unwrap();
        assert_eq!((spec.active, spec.spare), (4, 60));
        assert_eq!(spec.fail_start.to_string(), "7,9-10");
        assert_eq!(spec.delay, Duration::from_millis(3));
    }

    #[test]
    fn what_is_wrong_is_said_in_a_sentence() {
        let driver = |text: &str| text.parse::<DriverSpec>().unwrap_err();
        let simulate = |text: &str| text.parse::<SimulateSpec>().unwrap_err();
        assert_eq!(driver("smaple"), "there is no driver \"smaple\"; the built-in one is sample");
        assert_eq!(
            driver("sample:vote=1"),
            "sample has no option \"vote\"; it has veto, delay, level and name"
        );
        assert_eq!(driver("sample:veto=3-1"), "veto=3-1: the range 3-1 runs backwards");
        assert_eq!(driver("sample:veto="), "veto= names no processor");
        assert_eq!(driver("sample:1"), "\"1\" is not KEY=VALUE");
        assert_eq!(driver("sample:level=x"), "level: \"x\" is not a whole number such as -1");
        assert_eq!(driver("sample:level=1,level=2"), "level is given twice");
        assert_eq!(
            driver("sample:delay=999999999"),
            "delay: \"999999999\" is not a number of milliseconds, at most 600000"
        );
        assert_eq!(simulate("4"), "\"4\" is not ACTIVE+SPARE, such as 4+4");
        assert_eq!(simulate("4+x"), "SPARE: \"x\" is not a number of processors");
        assert_eq!(
            simulate("4+4,fial=1"),
            "there is no option \"fial\"; there are fail-start and delay"
        );
    }
}
