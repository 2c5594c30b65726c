//! The first event of a run: its processors, their kind, and which will be added.

use hotadd::CpuList;
use hotadd_daemon::view::{Note, Weight};
use hotadd_service::Record;
use serde::Serialize;

use crate::plan::Plan;

/// The first event.
#[derive(Serialize)]
pub(crate) struct First {
    #[serde(flatten)]
    record: Record,
    /// The path of the cpuset, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
    /// Why it is not a cpuset, if that was not requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The first event for programs, and the same for people.
pub(crate) fn first(plan: &Plan, title: &str) -> (First, Note) {
    let (partition, additions) = (&plan.partition, plan.additions());
    let active: CpuList = partition.active().iter().map(|p| p.id).collect();
    let cgroup = plan.fence.cgroup().map(|path| path.display().to_string());
    let mut what = format!("{} processors", partition.hardware());
    if let Some(cgroup) = &cgroup {
        what = format!("{what} of {cgroup}");
    }
    if let Some(reason) = &plan.instead {
        what = format!("{what}; no cpuset: {reason}");
    }
    let adding = if additions.is_empty() { "none".to_owned() } else { additions.to_string() };
    let text = format!("{title}: starting on {active}, to be added: {adding} ({what})");
    let mut record = Record::of_run("partition", partition.epoch().0);
    record.hardware = Some(partition.hardware());
    record.active = Some(active.to_string());
    record.add = Some(additions.to_string());
    let first = First { record, cgroup, reason: plan.instead.clone() };
    (first, Note { text, weight: Weight::Plain })
}
