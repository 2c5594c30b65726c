//! What a udev rules file does when a processor appears. Its lines are followed as udev does, including jumps; what cannot be
//! known in advance counts as possible.

use std::collections::{BTreeMap, BTreeSet};

use super::glob::{self, Family, Fit};
use super::rules::{Op, Rule, Token};
use crate::command::Does;
use crate::script::{self, Subject};

/// The events of a processor: plugged in, bound to its driver, switched, or all of them by `udevadm trigger`.
const ACTIONS: [&str; 5] = ["add", "bind", "change", "online", "offline"];

/// The data for judging a file.
pub(crate) struct World<'a> {
    /// What the machine's firmware reports under a name, if that is known.
    pub(crate) dmi: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
    /// The machine's architecture as systemd names it, if that is known.
    pub(crate) arch: Option<String>,
    /// What a command does.
    pub(crate) runs: &'a dyn Fn(&[u8], Subject) -> Does,
}

/// A rule that brings processors online, or may do so.
#[derive(Clone, Debug)]
pub(crate) struct Offence {
    /// The index of the rule in the file.
    pub(crate) rule: usize,
    /// The indexes of the tokens that do it.
    pub(crate) tokens: Vec<usize>,
    /// [`Does::Online`] or [`Does::Unclear`].
    pub(crate) does: Does,
    /// The events on which it happens.
    pub(crate) actions: Vec<&'static str>,
}

/// Follows a file's rules for each event of a processor.
pub(crate) fn follow(rules: &[Rule], world: &World<'_>) -> Vec<Offence> {
    let mut reached: Vec<Vec<&'static str>> = vec![Vec::new(); rules.len()];
    for action in ACTIONS {
        for rule in applied(rules, world, Some(action)) {
            reached[rule].push(action);
        }
    }
    // Rules that this machine never reaches for any device are excluded.
    let possible: BTreeSet<_> = applied(rules, world, None).into_iter().collect();
    let mut offences = Vec::new();
    for (rule, actions) in reached.into_iter().enumerate() {
        if !possible.contains(&rule) {
            continue;
        }
        // A rule for other devices can still name a processor.
        let tokens = &rules[rule].tokens;
        let own = tokens.iter().any(names_processors);
        let subject = match (actions.is_empty(), own) {
            (true, _) => Subject::Named,
            (false, true) => Subject::Processor,
            (false, false) => Subject::Device,
        };
        let (mut which, mut does) = (Vec::new(), None);
        for (index, token) in tokens.iter().enumerate() {
            match does_by(token, subject, world) {
                Does::Online(by) => {
                    which.push(index);
                    does = Some(Does::Online(by));
                }
                // Unknown effects of rules for other devices are not reported.
                Does::Unclear(doubts) if !actions.is_empty() && which.is_empty() => {
                    does = Some(Does::Unclear(doubts));
                }
                Does::Unclear(_) | Does::Else => {}
            }
        }
        if let Some(does) = does {
            offences.push(Offence { rule, tokens: which, does, actions });
        }
    }
    offences
}

/// The rules that may apply to an event of a processor; without an action, to any event of any device.
fn applied(rules: &[Rule], world: &World<'_>, action: Option<&str>) -> Vec<usize> {
    let labels: Vec<_> = rules.iter().map(|rule| rule.assigned("LABEL")).collect();
    let last: BTreeMap<_, _> =
        labels.iter().enumerate().filter_map(|(at, label)| Some(((*label)?, at))).collect();
    let mut found = Vec::new();
    let mut here = true;
    let mut jumps = BTreeSet::new();
    for (index, rule) in rules.iter().enumerate() {
        here |= labels[index].is_some_and(|label| jumps.contains(label));
        if !here {
            continue;
        }
        let fits = rule.tokens.iter().map(|token| matches(token, world, action));
        let fit = fits.fold(Fit::Always, |all, one| all.not().or(one.not()).not());
        if fit == Fit::Never {
            continue;
        }
        found.push(index);
        // Jumps only go forward; a jump to an unknown label is ignored.
        let target = rule.assigned("GOTO");
        if let Some(label) = target.filter(|label| last.get(label).is_some_and(|at| *at > index)) {
            jumps.insert(label);
            here = fit != Fit::Always;
        }
    }
    found
}

/// Whether a token lets a processor's event pass. A token that compares nothing does.
fn matches(token: &Token, world: &World<'_>, action: Option<&str>) -> Fit {
    // With any operator, the result depends on the program, or on whether there was something to import.
    if token.is("PROGRAM") || token.is("IMPORT") {
        return Fit::Maybe;
    }
    if !token.op.compares() {
        return Fit::Always;
    }
    let one =
        |name: &[u8]| glob::fit(&token.value, Family { name, numbered: false }, token.caseless);
    let many =
        |name: &[u8]| glob::fit(&token.value, Family { name, numbered: true }, token.caseless);
    let of_device = ["ACTION", "SUBSYSTEM", "SUBSYSTEMS", "KERNEL", "KERNELS", "DEVPATH"];
    let fit = match (&*token.key, token.attribute.as_deref()) {
        (key, _) if action.is_none() && of_device.contains(&key) => Fit::Maybe,
        ("ACTION", _) => one(action.unwrap_or_default().as_bytes()),
        ("SUBSYSTEM" | "SUBSYSTEMS", _) => one(b"cpu"),
        ("KERNEL", _) => many(b"cpu"),
        // The processors' parent folder has this name.
        ("KERNELS", _) => many(b"cpu").or(one(b"cpu")),
        ("DEVPATH", _) => many(b"/devices/system/cpu/cpu"),
        ("CONST", Some(b"arch")) => {
            world.arch.as_ref().map_or(Fit::Maybe, |arch| one(arch.as_bytes()))
        }
        ("ATTR", Some(attribute)) => {
            let name = attribute.strip_prefix(b"[dmi/id]".as_slice());
            name.and_then(world.dmi).map_or(Fit::Maybe, |value| one(&value))
        }
        _ => Fit::Maybe,
    };
    if token.op == Op::IsNot { fit.not() } else { fit }
}

/// Whether a token limits its rule to processors.
fn names_processors(token: &Token) -> bool {
    let keys = ["SUBSYSTEM", "SUBSYSTEMS", "KERNEL", "KERNELS", "DEVPATH"];
    token.op == Op::Is
        && keys.contains(&&*token.key)
        && String::from_utf8_lossy(&token.value).contains("cpu")
}

/// What a token does by itself.
fn does_by(token: &Token, subject: Subject, world: &World<'_>) -> Does {
    let runs = match (&*token.key, token.attribute.as_deref()) {
        ("ATTR", Some(attribute)) => {
            return if assigns_switch(token, attribute, subject) {
                Does::Online(None)
            } else {
                Does::Else
            };
        }
        ("RUN", None | Some(b"program")) => !token.op.compares() && token.op != Op::Remove,
        // These run a program to use its output.
        ("PROGRAM", _) | ("IMPORT", Some(b"program")) => true,
        _ => false,
    };
    if runs { (world.runs)(&token.value, subject) } else { Does::Else }
}

/// Whether `ATTR{...}="..."` switches a processor on: its own device, or one that it names as `[cpu/cpu1]online`.
fn assigns_switch(token: &Token, attribute: &[u8], subject: Subject) -> bool {
    let attribute = String::from_utf8_lossy(attribute);
    let (named, file) = match attribute.strip_prefix("[cpu/").and_then(|rest| rest.split_once(']'))
    {
        Some((_, file)) => (true, file),
        None => (script::is_switch(&attribute), &*attribute),
    };
    let own = subject != Subject::Named || named;
    let file = file.trim_start_matches('/');
    let switch = ["online", "hotplug/target"].contains(&file) || script::is_switch(&attribute);
    let value = String::from_utf8_lossy(&token.value);
    own && switch && !token.op.compares() && token.op != Op::Remove && !script::is_off(&value)
}

#[cfg(test)]
mod tests {
    use super::super::rules::parse;
    use super::*;

    /// The lines that bring processors online, on a machine whose vendor is known or unknown.
    fn lines(file: &str, vendor: Option<&str>) -> Vec<usize> {
        let rules = parse(file.as_bytes());
        let world = World {
            arch: Some("x86-64".to_owned()),
            dmi: &|_| vendor.map(|vendor| vendor.as_bytes().to_vec()),
            runs: &|command, subject| match script::scan(command, subject).is_empty() {
                true => Does::Else,
                false => Does::Online(None),
            },
        };
        follow(&rules, &world).iter().map(|offence| rules[offence.rule].lines.0).collect()
    }

    #[track_caller]
    fn check(file: &str, expected: &[usize]) {
        assert_eq!(lines(file, None), expected, "{file}");
    }

    #[test]
    fn a_rule_for_processors_that_sets_online_is_found() {
        check(r#"SUBSYSTEM=="cpu", ACTION=="add", ATTR{online}=="0", ATTR{online}="1""#, &[1]);
        check(r#"KERNEL=="cpu[0-9]*", ATTR{online}="1""#, &[1]);
        check(r#"DEVPATH=="/devices/system/cpu/*", ATTR{online}:="1""#, &[1]);
        check(r#"ACTION=="add", ATTR{online}="1""#, &[1]);
        check(r#"SUBSYSTEM=="cpu", RUN+="/bin/sh -c 'echo 1 > /sys$devpath/online'""#, &[1]);
        check(r#"SUBSYSTEM=="memory", RUN+="/usr/sbin/chcpu -e 1""#, &[1]);
        check(r#"SUBSYSTEM=="acpi", ATTR{[cpu/cpu1]online}="1""#, &[1]);
    }

    #[test]
    fn a_rule_for_other_devices_or_that_switches_nothing_on_is_not_found() {
        check(r#"SUBSYSTEM=="memory", ATTR{online}="1""#, &[]);
        check(r#"KERNEL!="cpu*", ATTR{online}="1""#, &[]);
        check(r#"SUBSYSTEM=="cpu", ACTION=="remove", ATTR{online}="1""#, &[]);
        check(r#"SUBSYSTEM=="cpu", ATTR{online}="0""#, &[]);
        check(r#"SUBSYSTEM=="cpu", ATTR{online}=="1", RUN+="/bin/true""#, &[]);
        check(r#"SUBSYSTEM=="memory", ATTR{state}="online""#, &[]);
    }

    #[test]
    fn a_jump_that_is_always_taken_skips_lines() {
        let file = "SUBSYSTEM==\"cpu\", GOTO=\"end\"\nATTR{online}=\"1\"\nLABEL=\"end\"\n";
        check(file, &[]);
        let other = "SUBSYSTEM!=\"cpu\", GOTO=\"end\"\nATTR{online}=\"1\"\nLABEL=\"end\"\n";
        check(other, &[2]);
        let perhaps =
            "SUBSYSTEM==\"cpu\", TEST==\"x\", GOTO=\"end\"\nATTR{online}=\"1\"\nLABEL=\"end\"\n";
        check(perhaps, &[2]);
        check(&perhaps.replace("TEST==", "PROGRAM="), &[2]);
        check("GOTO=\"nowhere\"\nSUBSYSTEM==\"cpu\", ATTR{online}=\"1\"\n", &[2]);
        check("LABEL=\"back\"\nGOTO=\"back\"\nSUBSYSTEM==\"cpu\", ATTR{online}=\"1\"\n", &[3]);
    }

    #[test]
    fn a_condition_on_the_firmware_is_evaluated_if_the_firmware_is_known() {
        let file = "ATTR{[dmi/id]sys_vendor}==\"Xen\", GOTO=\"apply\"\nGOTO=\"end\"\nLABEL=\"apply\"\n\
                    SUBSYSTEM==\"cpu\", ATTR{online}=\"1\"\nLABEL=\"end\"\n";
        assert_eq!(lines(file, Some("Xen")), [4]);
        assert_eq!(lines(file, Some("QEMU")), [0; 0], "the rules are for another hypervisor");
        assert_eq!(lines(file, None), [4], "an unknown vendor may match");
    }

    #[test]
    fn a_rule_for_another_architecture_is_not_applied() {
        check(r#"CONST{arch}=="s390*", SUBSYSTEM=="cpu", ATTR{online}="1""#, &[]);
        check(r#"CONST{arch}=="s390*", SUBSYSTEM=="cpu", RUN+="/usr/sbin/chcpu -e %n""#, &[]);
        let jump =
            "CONST{arch}!=\"s390*\", GOTO=\"end\"\nRUN+=\"/usr/sbin/chcpu -e 1\"\nLABEL=\"end\"\n";
        check(jump, &[]);
        check(r#"CONST{arch}!="s390*", SUBSYSTEM=="cpu", ATTR{online}="1""#, &[1]);
        check(r#"CONST{arch}=="x86*", SUBSYSTEM=="cpu", ATTR{online}="1""#, &[1]);
        let redhat = "SUBSYSTEM!=\"cpu\", GOTO=\"end\"\nCONST{arch}==\"ppc64*\", GOTO=\"end\"\n\
            CONST{arch}==\"s390*\", ATTR{configure}==\"0\", GOTO=\"end\"\nATTR{online}=\"1\"\nLABEL=\"end\"\n";
        check(redhat, &[4]);
    }

    #[test]
    fn the_events_of_a_rule_are_reported() {
        let rules = parse(b"SUBSYSTEM==\"cpu\", ACTION==\"add|bind\", ATTR{online}=\"1\"");
        let world = World { arch: None, dmi: &|_| None, runs: &|_, _| Does::Else };
        assert_eq!(follow(&rules, &world)[0].actions, ["add", "bind"]);
    }
}
