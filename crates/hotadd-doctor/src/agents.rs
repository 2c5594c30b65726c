//! Finds agents that bring processors online, or that do what a hypervisor or a cloud says.

use std::path::{Path, PathBuf};

use super::finding::{Finding, Level};
use super::known_agents::{AGENTS, Agent, Effect};
use super::programs;
use super::told::WHY;
use super::tree::{Content, Tree};
use super::units::Units;

/// The most processes that are examined.
const PROCESSES: usize = 8000;
/// Where this file exists, the kernel itself adds processors: arch/powerpc/platforms/pseries/dlpar.c and hotplug-cpu.c of Linux,
/// where dlpar_cpu_add ends in device_online.
const DLPAR: &str = "/sys/kernel/dlpar";

/// The words of a process's command line.
type Process = Vec<String>;

/// Looks for all agents.
pub(crate) fn check(tree: &Tree, units: &Units) -> Vec<Finding> {
    let (processes, all) = processes(tree);
    let mut findings: Vec<_> =
        AGENTS.iter().filter_map(|agent| look(tree, units, &processes, agent)).collect();
    if tree.kind(Path::new(DLPAR)).is_some() {
        findings.push(
            Finding::new(Level::Problem, "the kernel brings processors online that the hypervisor adds (pseries)")
                .at(Path::new(DLPAR), None)
                .why(WHY)
                .fix("this cannot be switched off: do not let the hypervisor add processors; use hotadd on \
                 processors that are present and offline"),
        );
    }
    if !all {
        findings.push(
            Finding::new(
                Level::CannotTell,
                format!("more than {PROCESSES} processes are running, and not all were examined"),
            )
            .at(Path::new("/proc"), None)
            .why("one of the others may be an agent")
            .fix("check for agents of the hypervisor by hand"),
        );
    }
    findings
}

fn look(tree: &Tree, units: &Units, processes: &[Process], agent: &Agent) -> Option<Finding> {
    let process = processes.iter().find(|process| is_agents(process, agent));
    let program = program(tree, agent);
    let unit = agent.units.iter().copied().find(|unit| units.has(unit));
    if process.is_none() && program.is_none() && unit.is_none() {
        return None;
    }
    let switched = |words: &str| words.split_whitespace().any(|word| agent.options.contains(&word));
    // A running process takes precedence over what a unit would start.
    let off = match (process, unit) {
        (Some(process), _) => switched(&process.join(" ")),
        (None, Some(unit)) => units.starts(unit).any(switched),
        (None, None) => false,
    };
    if off || (agent.is_off)(tree) {
        return None;
    }
    let (name, does, off) = (agent.name, agent.does, agent.off);
    let started = unit.is_some_and(|_| agent.units.iter().any(|unit| units.is_started(unit)));
    // A generator starts cloud-init's units, so none of them is enabled.
    let unused = unit.is_some() && !started && process.is_none() && name != "cloud-init";
    let state = match process {
        Some(_) => "running",
        None if started => "started at boot",
        None => "installed",
    };
    let (level, what) = match agent.effect {
        _ if unused => (
            Level::Note,
            format!("{name}: installed, but no unit starts it; effect if started: {does}"),
        ),
        Effect::Brings if process.is_some() || started => {
            (Level::Problem, format!("{name}: {state}; effect: {does}"))
        }
        Effect::Brings | Effect::Obeys => {
            (Level::CannotTell, format!("{name}: {state}; effect: {does}"))
        }
    };
    let mut finding = Finding::new(level, what)
        .why("no party agreed to a processor that comes online this way (A1, Q3)")
        .fix(off);
    if let Some(place) = program.or_else(|| units.file(unit?)) {
        finding = finding.at(&place, None);
    }
    Some(finding)
}

fn program(tree: &Tree, agent: &Agent) -> Option<PathBuf> {
    let places = agent.programs.iter().flat_map(|program| {
        let folders = programs::FOLDERS.iter().map(move |folder| Path::new(folder).join(program));
        if program.starts_with('/') { vec![PathBuf::from(program)] } else { folders.collect() }
    });
    let found = places.into_iter().find(|path| tree.kind(path).is_some());
    // VirtualBox's additions are in a folder of their own that has their version in its name.
    found.or_else(|| {
        if !agent.programs.contains(&"VBoxService") {
            return None;
        }
        let names = tree.list(Path::new("/opt")).into_iter();
        let additions =
            names.filter(|name| name.to_string_lossy().starts_with("VBoxGuestAdditions"));
        let mut paths = additions.map(|name| Path::new("/opt").join(name).join("sbin/VBoxService"));
        paths.find(|path| tree.kind(path).is_some())
    })
}

/// Whether a process belongs to an agent: by its program, or by the script that an interpreter runs.
fn is_agents(process: &Process, agent: &Agent) -> bool {
    let mut names = process.iter().map(|word| programs::base(word));
    let is = |name: &str| agent.programs.iter().any(|program| programs::base(program) == name);
    let Some(first) = names.next() else { return false };
    let interpreter = programs::kind(first) != programs::Kind::Other;
    is(first) || (interpreter && names.find(|name| !name.starts_with('-')).is_some_and(is))
}

/// The command lines of running processes, and whether the list is complete.
fn processes(tree: &Tree) -> (Vec<Process>, bool) {
    let names = tree.list(Path::new("/proc"));
    let numbers = names.iter().filter(|name| {
        name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let mut found = Vec::new();
    for name in numbers.clone().take(PROCESSES) {
        let path = Path::new("/proc").join(name).join("cmdline");
        // A process that has ended meanwhile is skipped.
        let Some(text) = tree.command_line(&path) else { continue };
        let words =
            text.split(|&byte| byte == 0 || byte == b'\n').filter(|word| !word.is_empty()).take(64);
        found.push(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect());
    }
    let unread = matches!(tree.look_into(Path::new("/proc")), Content::Unread(_));
    (found, numbers.count() <= PROCESSES && !unread)
}
