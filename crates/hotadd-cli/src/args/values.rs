//! How the values of arguments are read.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use hotadd::{CpuList, Follow};
use hotadd_daemon::values::duration;
use hotadd_run::{Add, FailOn, Over};

pub(super) fn list(text: &str) -> Result<CpuList, String> {
    let list: CpuList = text.parse().map_err(|error: hotadd::CpuListError| error.to_string())?;
    if list.is_empty() {
        return Err("the list is empty; write it like 0-3,8".to_owned());
    }
    Ok(list)
}

pub(super) fn add(text: &str) -> Result<Add, String> {
    match text {
        "all" => Ok(Add::All),
        "none" => Ok(Add::None),
        _ => list(text)
            .map(Add::List)
            .map_err(|error| format!("{error}; all and none are also accepted")),
    }
}

pub(super) fn over() -> impl TypedValueParser<Value = Over> {
    PossibleValuesParser::new(["cpuset", "affinity"]).map(|word| match word.as_str() {
        "cpuset" => Over::Cpuset,
        _ => Over::Affinity,
    })
}

pub(super) fn follow(text: &str) -> Result<Follow, String> {
    match text {
        "ask" => Ok(Follow::Ask),
        "report" => Ok(Follow::Report),
        "no" => Ok(Follow::Manual),
        _ => Err("expected ask, report or no".to_owned()),
    }
}

pub(super) fn fail_on(text: &str) -> Result<FailOn, String> {
    text.parse()
}

pub(super) fn poll(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_millis(10) || time > Duration::from_secs(60 * 60) {
        return Err("the poll interval must be from 10ms to 1h".to_owned());
    }
    Ok(time)
}
