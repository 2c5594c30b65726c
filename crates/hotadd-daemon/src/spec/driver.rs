//! The specifications of `--driver`: the driver, its process, and its injected faults.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use hotadd::{CpuList, Sample, State};
use hotadd_service::script::word;
use serde::Deserialize;

use super::{delay, list, number, options_of, time, with_name};

/// The most restarts of a driver that crashes repeatedly.
const MOST_RESTARTS: u32 = 1000;

/// A driver: `sample[:OPTION,...]`, `exec:PATH[,OPTION,...]` or `FILE[,OPTION,...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverSpec {
    /// The name of its party.
    pub name: String,
    /// The level at which it is asked.
    pub level: i32,
    /// The time limit of an answer, if the specification has one.
    pub timeout: Option<Duration>,
    /// What happens to adds while its party is missing (L4), if the specification says.
    pub when_missing: Option<WhenMissing>,
    /// What it is.
    pub what: What,
    /// The text as given. A process of its own parses it again.
    pub text: String,
}

/// What a driver is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The sample, with its injected faults.
    Sample(SampleSpec),
    /// A program, or a folder of them.
    Exec(ExecSpec),
    /// A Windows driver or a native one.
    File(FileSpec),
}

/// A program, or a folder of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecSpec {
    /// The path.
    pub path: PathBuf,
    /// How often it is registered again.
    pub restarts: u32,
    /// The program is not run for the processors that are active when it registers (R2).
    pub later: bool,
}

/// A driver's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// The path.
    pub path: PathBuf,
    /// How often it is started again.
    pub restarts: u32,
    /// The number of the allocation that fails, counted from 1.
    pub alloc_fail: Option<u64>,
    /// The driver is not loaded if it needs something that is not provided.
    pub strict: bool,
}

/// `sample`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleSpec {
    /// It refuses these processors.
    pub veto: CpuList,
    /// How long each answer takes.
    pub delay: Duration,
    /// `None` if it is called in this process; otherwise how often it is started again.
    pub isolated: Option<u32>,
    /// Which fault happens at which state.
    pub faults: Vec<(State, Fault)>,
    /// Faults also happen while the driver registers, not only later.
    pub replay: bool,
}

/// A fault of a driver in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is killed.
    Crash,
    /// It touches memory that is not its own.
    Segv,
    /// It aborts.
    Abort,
    /// It exits without a crash, with this status.
    Exit(i32),
    /// It does not answer.
    Hang,
    /// It is stopped, and does not end when it is told to.
    Stop,
    /// It sends what is not D-Bus.
    Garbage,
    /// It stops in the middle of a message.
    Half,
    /// It closes its connection.
    Disconnect,
    /// It answers after the time limit.
    Late,
}

/// What happens to adds while a party is missing (L4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenMissing {
    /// They are refused in its name.
    #[default]
    Refuse,
    /// It is not asked.
    Skip,
}

impl SampleSpec {
    /// The sample that it describes.
    #[must_use]
    pub fn sample(&self) -> Sample {
        Sample::new().veto(self.veto.clone()).delay(self.delay)
    }
}

impl DriverSpec {
    /// What becomes of adds while its party is missing.
    pub(crate) fn when_missing(&self) -> WhenMissing {
        self.when_missing.unwrap_or_default()
    }

    /// Whether it says the same as another, word for word.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.text == other.text && self.when_missing == other.when_missing
    }

    /// Whether it is in a process of its own that speaks D-Bus.
    #[must_use]
    pub const fn is_isolated(&self) -> bool {
        match &self.what {
            What::Sample(sample) => sample.isolated.is_some(),
            What::Exec(_) => false,
            What::File(_) => true,
        }
    }
}

impl FromStr for DriverSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, options) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "sample" => sample(text, options),
            "exec" => exec(text, options),
            _ if is_file(text) => file(text),
            _ => Err(format!(
                "there is no driver {kind:?}; a driver is sample, exec:PATH or a file such as x.sys or ./x.so"
            )),
        }
        .and_then(with_name)
    }
}

/// Whether this names a driver's file, there or not: by its end, or as a path.
fn is_file(text: &str) -> bool {
    let (path, _) = text.split_once(',').unwrap_or((text, ""));
    let end = Path::new(path).extension();
    end.is_some_and(|end| end.eq_ignore_ascii_case("sys") || end.eq_ignore_ascii_case("so"))
        || path.contains('/')
}

fn file(text: &str) -> Result<DriverSpec, String> {
    let (path, options) = text.split_once(',').unwrap_or((text, ""));
    let path = PathBuf::from(path);
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut file = FileSpec { path, restarts: 0, alloc_fail: None, strict: false };
    let (mut name, mut level, mut timeout, mut when_missing) = (name, 0, None, None);
    for (key, value) in options_of(options, &["strict"])? {
        match key {
            "level" => level = number(key, &value, "a whole number such as -1")?,
            "name" => name = value,
            "timeout" => timeout = Some(time(key, &value)?),
            "restart" => file.restarts = restarts(&value)?,
            "when-missing" => when_missing = Some(missing(&value)?),
            "alloc-fail" => {
                let like = "the number of the allocation that fails, counted from 1";
                let nth = number(key, &value, like)?;
                if nth == 0 {
                    return Err(format!("{key}: {value:?} is not {like}"));
                }
                file.alloc_fail = Some(nth);
            }
            "strict" if value.is_empty() => file.strict = true,
            "strict" => return Err("strict takes no value".to_owned()),
            _ => {
                return Err(format!(
                    "a driver's file has no option {key:?}; the options are level, name, timeout, restart, when-missing, alloc-fail and strict"
                ));
            }
        }
    }
    let (what, text) = (What::File(file), text.to_owned());
    Ok(DriverSpec { name, level, timeout, when_missing, what, text })
}

fn sample(text: &str, options: &str) -> Result<DriverSpec, String> {
    let mut sample = SampleSpec::default();
    let (mut name, mut level, mut timeout, mut restart) = ("sample".to_owned(), 0, None, None);
    let (mut isolated, mut when_missing) = (false, None);
    // What only makes sense in a process of its own.
    let mut apart = None;
    for (key, value) in options_of(options, &["isolated", "replay"])? {
        match key {
            "veto" => sample.veto = list(key, &value)?,
            "delay" => sample.delay = delay(&value)?,
            "level" => level = number(key, &value, "a whole number such as -1")?,
            "name" => name = value,
            "when-missing" => when_missing = Some(missing(&value)?),
            "isolated" | "replay" if !value.is_empty() => {
                return Err(format!("{key} takes no value"));
            }
            "isolated" => isolated = true,
            "replay" => sample.replay = true,
            "timeout" => {
                timeout = Some(time(key, &value)?);
                apart = Some(key);
            }
            "restart" => {
                restart = Some(restarts(&value)?);
                apart = Some(key);
            }
            _ => {
                let Some(fault) = fault(key, &value)? else {
                    return Err(format!(
                        "sample has no option {key:?}; the options are veto, delay, level, name, when-missing, isolated, timeout, restart and, for \
                         tests, crash, segv, abort, exit, hang, stop, garbage, half, disconnect, late and \
                         replay"
                    ));
                };
                if sample.faults.iter().any(|(state, _)| *state == fault.0) {
                    return Err(format!("{key}={value}: a fault for this state is already given"));
                }
                sample.faults.push(fault);
                apart = Some(key);
            }
        }
    }
    if let (Some(key), false) = (apart, isolated) {
        return Err(format!("{key} needs isolated, because it applies to a separate process"));
    }
    if sample.replay && sample.faults.is_empty() {
        return Err("replay needs a fault, such as crash=add-start".to_owned());
    }
    sample.isolated = isolated.then_some(restart.unwrap_or(0));
    let (what, text) = (What::Sample(sample), text.to_owned());
    Ok(DriverSpec { name, level, timeout, when_missing, what, text })
}

fn exec(text: &str, rest: &str) -> Result<DriverSpec, String> {
    let (path, options) = rest.split_once(',').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err("exec needs a program or a folder of programs: exec:PATH".to_owned());
    }
    let path = PathBuf::from(path);
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut exec = ExecSpec { path, restarts: 0, later: false };
    let (mut name, mut level, mut timeout, mut when_missing) = (name, 0, None, None);
    for (key, value) in options_of(options, &["later"])? {
        match key {
            "level" => level = number(key, &value, "a whole number such as -1")?,
            "name" => name = value,
            "timeout" => timeout = Some(time(key, &value)?),
            "restart" => exec.restarts = restarts(&value)?,
            "when-missing" => when_missing = Some(missing(&value)?),
            "later" if value.is_empty() => exec.later = true,
            "later" => return Err("later takes no value".to_owned()),
            _ => {
                return Err(format!(
                    "exec has no option {key:?}; the options are level, name, timeout, restart, when-missing and later"
                ));
            }
        }
    }
    let (what, text) = (What::Exec(exec), text.to_owned());
    Ok(DriverSpec { name, level, timeout, when_missing, what, text })
}

fn missing(value: &str) -> Result<WhenMissing, String> {
    match value {
        "refuse" => Ok(WhenMissing::Refuse),
        "skip" => Ok(WhenMissing::Skip),
        _ => Err(format!("when-missing: {value:?} is neither refuse nor skip")),
    }
}

fn restarts(value: &str) -> Result<u32, String> {
    let like = "a number, at most 1000";
    let count = number("restart", value, like)?;
    if count > MOST_RESTARTS {
        return Err(format!("restart: {value:?} is not {like}"));
    }
    Ok(count)
}

/// `crash=add-start` and the like; `None` if there is no such fault.
fn fault(key: &str, value: &str) -> Result<Option<(State, Fault)>, String> {
    let (when, fault) = match key {
        "crash" => (value, Fault::Crash),
        "segv" => (value, Fault::Segv),
        "abort" => (value, Fault::Abort),
        "exit" => match value.split_once(':') {
            Some((when, code)) => {
                let code: u8 = number(key, code, "an exit status from 0 to 255")?;
                (when, Fault::Exit(i32::from(code)))
            }
            None => (value, Fault::Exit(0)),
        },
        "hang" => (value, Fault::Hang),
        "stop" => (value, Fault::Stop),
        "garbage" => (value, Fault::Garbage),
        "half" => (value, Fault::Half),
        "disconnect" => (value, Fault::Disconnect),
        "late" => (value, Fault::Late),
        _ => return Ok(None),
    };
    let state = State::ALL.into_iter().find(|state| word(*state) == when);
    let states = State::ALL.map(word).join(", ");
    let state = state.ok_or_else(|| format!("{key}: {when:?} is not one of {states}"))?;
    Ok(Some((state, fault)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> DriverSpec {
        text.parse().unwrap()
    }

    fn sample(text: &str) -> SampleSpec {
        let What::Sample(sample) = read(text).what else { panic!("{text} is a sample") };
        sample
    }

    #[test]
    fn a_sample_is_read_with_all_its_options_and_lists_keep_their_commas() {
        let text = "sample:veto=1,3-5,delay=20,level=-2,name=pool";
        let spec = read(text);
        assert_eq!((spec.level, &*spec.name, &*spec.text), (-2, "pool", text));
        assert_eq!(sample(text).veto.to_string(), "1,3-5");
        assert_eq!(sample(text).delay, Duration::from_millis(20));
        assert_eq!((read("sample").name, sample("sample").isolated), ("sample".to_owned(), None));
    }

    #[test]
    fn a_sample_may_have_its_own_process() {
        assert_eq!(sample("sample:isolated").isolated, Some(0));
        let text = "sample:veto=1,3,isolated,restart=2,timeout=250";
        assert_eq!(read(text).timeout, Some(Duration::from_millis(250)));
        assert_eq!(sample(text).isolated, Some(2));
        assert_eq!(sample(text).veto.to_string(), "1,3", "an option without a value ends a list");
    }

    #[test]
    fn faults_of_a_sample_are_read_with_their_states() {
        let faults = sample("sample:isolated,exit=add-start:3,late=remove-failure").faults;
        assert_eq!(
            faults,
            [(State::AddStart, Fault::Exit(3)), (State::RemoveFailure, Fault::Late)]
        );
        let all = "crash segv abort exit hang stop garbage half disconnect late";
        for key in all.split(' ') {
            let faults = sample(&format!("sample:{key}=add-complete,isolated")).faults;
            assert_eq!(faults[0].0, State::AddComplete);
        }
    }

    #[test]
    fn a_fault_of_a_sample_may_happen_in_the_replay() {
        assert!(sample("sample:isolated,crash=add-start,replay").replay);
        assert!(sample("sample:isolated,veto=1,replay,crash=add-failure").replay);
        assert!(!sample("sample:isolated,crash=add-start").replay);
    }

    #[test]
    fn a_program_is_read_with_all_its_options() {
        let spec = read("exec:/etc/hooks/prepare,level=3,timeout=100");
        assert_eq!((&*spec.name, spec.level), ("prepare", 3));
        assert_eq!(spec.timeout, Some(Duration::from_millis(100)));
        let path = PathBuf::from("/etc/hooks/prepare");
        assert_eq!(spec.what, What::Exec(ExecSpec { path, restarts: 0, later: false }));
        assert_eq!(read("exec:hooks/,name=x").name, "x");
        let path = PathBuf::from("hooks/");
        assert_eq!(
            read("exec:hooks/,later").what,
            What::Exec(ExecSpec { path, restarts: 0, later: true })
        );
        assert_eq!(read("exec:hooks/,later,name=x").name, "x", "later takes no value");
    }

    #[test]
    fn l4_the_option_when_missing_is_read_for_every_kind_of_driver() {
        for driver in ["exec:/x", "sample:isolated", "sample:veto=1,3", "x.sys"] {
            assert_eq!(read(driver).when_missing(), WhenMissing::Refuse, "{driver}");
            for (word, meant) in [("skip", WhenMissing::Skip), ("refuse", WhenMissing::Refuse)] {
                let spec = read(&format!("{driver},when-missing={word}"));
                assert_eq!(spec.when_missing, Some(meant), "{driver}");
            }
        }
        let What::Exec(exec) = read("exec:/x,restart=3").what else { panic!("it is a program") };
        assert_eq!(exec.restarts, 3);
        let wrong = "exec:/x,when-missing=ask".parse::<DriverSpec>().unwrap_err();
        assert_eq!(wrong, "when-missing: \"ask\" is neither refuse nor skip");
    }

    #[test]
    fn a_drivers_file_is_recognised_by_its_extension_or_as_a_path() {
        let spec =
            read("drivers/PerCpu.SYS,strict,alloc-fail=2,restart=3,level=1,timeout=50,name=x");
        let file = FileSpec {
            path: "drivers/PerCpu.SYS".into(),
            restarts: 3,
            alloc_fail: Some(2),
            strict: true,
        };
        assert_eq!((&*spec.name, spec.level, &spec.what), ("x", 1, &What::File(file)));
        assert_eq!(spec.timeout, Some(Duration::from_millis(50)));
        assert!(spec.is_isolated(), "a driver's file has its own process");
        for (text, name) in [("percpu.sys", "percpu.sys"), ("./x", "x"), ("a:b/c.so", "c.so")] {
            assert!(read(text).name == name && matches!(read(text).what, What::File(_)), "{text}");
        }
    }

    #[test]
    fn a_malformed_driver_is_reported_in_a_sentence() {
        let why = |text: &str| text.parse::<DriverSpec>().unwrap_err();
        assert_eq!(
            why("smaple"),
            "there is no driver \"smaple\"; a driver is sample, exec:PATH or a file such as x.sys or ./x.so"
        );
        assert!(
            why("x.sys,vote=1")
                .starts_with("a driver's file has no option \"vote\"; the options are level")
        );
        assert_eq!(
            why("x.sys,alloc-fail=0"),
            "alloc-fail: \"0\" is not the number of the allocation that fails, counted from 1"
        );
        assert_eq!(why("x.sys,strict=no"), "strict takes no value");
        assert!(why("sample:vote=1").contains("no option \"vote\"; the options are veto, "));
        assert_eq!(why("sample:veto=3-1"), "veto=3-1: the range 3-1 runs backwards");
        assert_eq!(why("sample:veto="), "veto= is an empty list");
        assert_eq!(why("sample:1"), "\"1\" is not KEY=VALUE");
        assert_eq!(why("sample:level=x"), "level: \"x\" is not a whole number such as -1");
        assert_eq!(why("sample:level=1,level=2"), "level is given twice");
        assert_eq!(why("sample:isolated,isolated"), "isolated is given twice");
        assert_eq!(why("sample:isolated=yes"), "isolated takes no value");
        assert_eq!(why("sample:isolated,crash=add-start,replay=1"), "replay takes no value");
        assert_eq!(why("sample:isolated,replay"), "replay needs a fault, such as crash=add-start");
        assert_eq!(
            why("sample:delay=999999999"),
            "delay: \"999999999\" is not a number of milliseconds, at most 600000"
        );
        assert_eq!(
            why("sample:crash=add-start"),
            "crash needs isolated, because it applies to a separate process"
        );
        assert_eq!(
            why("sample:isolated,hang=start"),
            "hang: \"start\" is not one of add-start, add-complete, add-failure, remove-start, remove-complete, remove-failure"
        );
        assert_eq!(
            why("sample:isolated,exit=add-start:300"),
            "exit: \"300\" is not an exit status from 0 to 255"
        );
        assert_eq!(
            why("sample:isolated,hang=add-start,crash=add-start"),
            "crash=add-start: a fault for this state is already given"
        );
        assert_eq!(
            why("sample:isolated,timeout=0"),
            "timeout: \"0\" is not a number of milliseconds from 1 to 600000"
        );
        assert_eq!(
            why("sample:isolated,restart=x"),
            "restart: \"x\" is not a number, at most 1000"
        );
        assert_eq!(why("exec:/x,later=1"), "later takes no value");
        assert_eq!(why("exec"), "exec needs a program or a folder of programs: exec:PATH");
        assert_eq!(
            why("exec:/x,veto=1"),
            "exec has no option \"veto\"; the options are level, name, timeout, restart, when-missing and later"
        );
    }
}
