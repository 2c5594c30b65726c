//! Text that brings processors online: commands, scripts and settings that write to a processor's switch. Lines are found by
//! their form; nothing is run. Values that are built from pieces or hidden in a program are not found.

use std::collections::BTreeSet;

use super::finding::excerpt;

/// What a text is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// Only processors that the text names.
    Named,
    /// Any device that appears, which may be a processor. Variables name the device.
    Device,
    /// Only a processor. Variables name it.
    Processor,
}

/// A line that brings processors online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The lines of a text that bring processors online.
pub(crate) fn scan(text: &[u8], subject: Subject) -> Vec<Hit> {
    let text = String::from_utf8_lossy(text);
    let lines = logical(&text);
    let context = Context::of(&lines, subject);
    let hits = lines.into_iter().filter(|(_, line)| context.brings_online(line));
    hits.map(|(line, text)| Hit { line, text: excerpt(text.as_bytes()) }).collect()
}

/// Whether a value leaves a switch off. An unknown value does not.
pub(crate) fn is_off(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    ["0", "n", "off", "forceoff"].iter().any(|off| value.starts_with(off))
}

/// Whether a path is a processor's switch, judged by its name alone.
pub(crate) fn is_switch(path: &str) -> bool {
    switch(path, false)
}

/// Whether a path may be the switch of a device whose name is unknown.
pub(crate) fn may_be_switch(path: &str) -> bool {
    switch(path, true)
}

/// With `unnamed`, also true if the device's name is unknown.
fn switch(path: &str, unnamed: bool) -> bool {
    let device = path.strip_suffix("/online").or_else(|| path.strip_suffix("/hotplug/target"));
    let Some(device) = device else { return path.ends_with("system/cpu/smt/control") };
    // The list of online processors has the same name, but cannot be written.
    let is_list = device.ends_with("system/cpu");
    let others = ["system/memory", "system/node"].iter().any(|other| device.contains(other));
    let variable = device.contains(['$', '%', '{']);
    !is_list && !others && (device.contains("cpu") || (unnamed && variable))
}

/// Lines with their numbers, joined at backslashes, without comments.
fn logical(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let (line, more) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, whole)) => whole.push_str(line),
            None => lines.push((number, line.to_owned())),
        }
        goes_on = more;
    }
    lines
}

/// What is known from the text's other lines.
struct Context {
    /// A switch whose device is a variable may be a processor's.
    unnamed: bool,
    /// Variables that hold the path of a switch.
    variables: BTreeSet<String>,
}

impl Context {
    fn of(lines: &[(usize, String)], subject: Subject) -> Self {
        let named = lines.iter().any(|(_, line)| line.contains("system/cpu"));
        let mut context =
            Self { unnamed: named || subject != Subject::Named, variables: BTreeSet::new() };
        let plain: Vec<_> = lines.iter().map(|(_, line)| plain(line)).collect();
        for line in &plain {
            // NAME=PATH, NAME = PATH and for NAME in PATH ...
            for statement in line.split([';', '&', '|']) {
                let (name, value) = match statement.split_once('=') {
                    Some((name, value)) => (name, value),
                    None => statement.split_once(" in ").unwrap_or_default(),
                };
                let holds = value.split_whitespace().any(|word| context.is_switch(word));
                let name = name.split_whitespace().next_back().unwrap_or_default();
                if holds && is_name(name) {
                    context.variables.insert(name.to_owned());
                }
            }
        }
        context
    }

    fn is_switch(&self, path: &str) -> bool {
        let path = path.trim_end_matches([')', ',', ']']);
        let name = path.trim_start_matches('$').trim_matches(['{', '}']);
        switch(path, self.unnamed) || self.variables.contains(name)
    }

    fn brings_online(&self, line: &str) -> bool {
        let line = plain(line);
        let mut piped = "";
        line.split([';', '&', '|']).any(|statement| {
            let before = std::mem::replace(&mut piped, statement);
            self.redirects(statement)
                || self.copies(statement, before)
                || self.assigns(statement)
                || self.opens(statement)
                || calls(statement)
        })
    }

    /// `echo 1 > PATH`
    fn redirects(&self, statement: &str) -> bool {
        let mut parts = statement.split('>');
        let command = parts.next().unwrap_or_default();
        let mut targets = parts.filter_map(|part| part.split_whitespace().next());
        targets.any(|target| self.is_switch(target)) && !says_off(command)
    }

    /// `echo 1 | tee PATH`, `dd of=PATH`
    fn copies(&self, statement: &str, before: &str) -> bool {
        let mut words = statement.split_whitespace();
        let Some(program) = words.find(|word| ["tee", "dd"].contains(&base(word))) else {
            return false;
        };
        let path = |word: &'_ str| -> bool {
            match base(program) {
                "dd" => word.strip_prefix("of=").is_some_and(|path| self.is_switch(path)),
                _ => self.is_switch(word),
            }
        };
        words.any(path) && !says_off(before)
    }

    /// `PATH = 1`, the form of settings files.
    fn assigns(&self, statement: &str) -> bool {
        let Some((path, value)) = statement.split_once('=') else { return false };
        let path = path.trim();
        is_switch(path) && !path.contains(char::is_whitespace) && !is_off(value)
    }

    /// `open(PATH, "w")`, and `Path(PATH).write_text("1")`
    fn opens(&self, statement: &str) -> bool {
        let args = |call| statement.split_once(call).map(|(_, args)| args);
        let path = |text: &str| {
            text.split([',', '(', ')', '%', ' ', '+']).any(|word| self.is_switch(word))
                || text.contains("system/cpu/") && text.contains("/online")
        };
        let opened = args("open(").and_then(|args| args.split_once(','));
        let written = opened.is_some_and(|(file, mode)| {
            let mode = mode.rsplit(',').next().unwrap_or_default().trim();
            path(file) && ["w", "r+", "a", ">", "mode=w"].iter().any(|m| mode.starts_with(m))
        });
        written || statement.contains("write_text(") && path(statement)
    }
}

/// Removes quotes, and replaces redirections of descriptors.
fn plain(line: &str) -> String {
    let line: String =
        line.chars().filter(|char| !matches!(char, '"' | '\'' | '`' | '\\')).collect();
    line.replace("&>", ">").replace(">&", " ").replace(">|", ">")
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// A program's name without its folder.
fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Whether a command is known to print a value that leaves a processor off.
fn says_off(command: &str) -> bool {
    let mut words = command.split_whitespace();
    words.any(|word| ["echo", "printf"].contains(&base(word)))
        && words.next_back().is_some_and(is_off)
}

/// `chcpu -e 1`, `ppc64_cpu --smt=on`
fn calls(statement: &str) -> bool {
    let mut words = statement.split_whitespace();
    let Some(program) = words.find(|word| ["chcpu", "ppc64_cpu"].contains(&base(word))) else {
        return false;
    };
    words.any(|word| match base(program) {
        "chcpu" => word.starts_with("-e") || word.starts_with("--en"),
        _ => {
            let threads = word.strip_prefix("--smt=");
            word.starts_with("--cores-on=")
                || threads.is_some_and(|threads| threads != "off" && threads != "1")
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str, subject: Subject) -> Vec<usize> {
        scan(text.as_bytes(), subject).into_iter().map(|hit| hit.line).collect()
    }

    #[test]
    fn lines_that_bring_processors_online_are_found() {
        for text in [
            "echo 1 > /sys/devices/system/cpu/cpu1/online",
            "echo 1 >/sys/devices/system/cpu/cpu$n/online",
            "for c in /sys/devices/system/cpu/cpu[0-9]*; do echo 1 > \"$c/online\"; done",
            "for f in /sys/devices/system/cpu/cpu*/online; do echo -n 1 >| ${f}; done",
            "echo 1 | sudo tee /sys/devices/system/cpu/cpu3/online >/dev/null",
            "printf '1\\n' 2>/dev/null > /sys/devices/system/cpu/cpu3/online",
            "ExecStart=/bin/sh -c 'test -e x && echo $V > /sys/devices/system/cpu/cpu1/online'",
            "/usr/sbin/chcpu -e 1-3",
            "chcpu --enable 7",
            "ppc64_cpu --smt=on",
            "echo on > /sys/devices/system/cpu/smt/control",
            "echo 237 > /sys/devices/system/cpu/cpu1/hotplug/target",
            "dd if=/tmp/one of=/sys/devices/system/cpu/cpu1/online",
            "devices/system/cpu/cpu1/online = 1",
            "open('/sys/devices/system/cpu/cpu%d/online' % n, 'w').write('1')",
            "path = '/sys/devices/system/cpu/cpu1/online'; open(path, 'w').write('1')",
            "- [ sh, -c, \"echo 1 > /sys/devices/system/cpu/cpu1/online\" ]",
        ] {
            assert_eq!(lines(text, Subject::Named), [1], "{text}");
        }
    }

    #[test]
    fn lines_that_read_or_take_offline_are_not_found() {
        for text in [
            "echo 0 > /sys/devices/system/cpu/cpu1/online",
            "for f in /sys/devices/system/cpu/cpu*/online; do echo 0 | tee $f; done",
            "n=$(cat /sys/devices/system/cpu/online) > /tmp/x",
            "cat /sys/devices/system/cpu/cpu1/online > /tmp/online",
            "# echo 1 > /sys/devices/system/cpu/cpu1/online",
            "echo online > /sys/devices/system/memory/memory3/state",
            "echo 1 > /sys/devices/system/memory/memory3/online",
            "chcpu -d 1",
            "chcpu --rescan",
            "ppc64_cpu --smt",
            "ppc64_cpu --smt=off",
            "open('/sys/devices/system/cpu/cpu1/online', 'r').read()",
            "mode devices/system/cpu/cpu1/online = 0644",
            "echo off > /sys/devices/system/cpu/smt/control",
        ] {
            assert_eq!(lines(text, Subject::Named), [0; 0], "{text}");
        }
    }

    #[test]
    fn variables_of_udev_name_the_processor_of_the_event() {
        for text in
            ["echo 1 > /sys$devpath/online", "echo 1 > /sys/%p/online", "echo 1 > $X/online"]
        {
            assert_eq!(lines(text, Subject::Processor), [1], "{text}");
            assert_eq!(lines(text, Subject::Named), [0; 0], "{text}: it may name another device");
        }
    }

    #[test]
    fn a_continued_line_has_the_number_of_its_first_line() {
        let text = "#!/bin/sh\nD=/sys/devices/system/cpu\n\necho 1 \\\n > $D/cpu1/online\n";
        assert_eq!(lines(text, Subject::Named), [4]);
    }

    proptest! {
        #[test]
        fn any_text_is_scanned_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
            scan(&text, Subject::Processor);
        }

        #[test]
        fn text_similar_to_commands_is_scanned_without_a_panic(text in "(echo|tee|dd of=|open\\(|chcpu|=|>|\\||&|;| |[$'\",1é]|/sys/devices/system/cpu/cpu1/online){0,12}") {
            scan(text.as_bytes(), Subject::Named);
        }
    }
}
