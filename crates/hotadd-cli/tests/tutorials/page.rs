//! A tutorial as steps: the files that its reader writes and changes, and the commands that its reader types.
//!
//! A comment in front of a code block says what the block is:
//!
//! - `<!-- file: NAME -->`: the reader saves the block as NAME. The text above names it.
//! - `<!-- edits: NAME -->`: the reader changes NAME. Lines that begin with `-` are replaced by those that begin with `+`.
//! - `<!-- terminal N -->`: the last command of the block keeps running in a terminal of its own, and prints the lines below it. A block
//!   without commands shows what such a command prints next.
//! - `<!-- run in: FILE -->`: that test has these commands, or reads them from the page.
//! - `<!-- part of: FILE -->`: this file of the repository has the block; of a diff, the lines before the change.
//! - `<!-- not tested -->`: nothing runs these commands. The text above says so.
//!
//! Every other block is a `console` block. Its commands run one after the other, each to its end. The line of a command may end with
//! `# exit status N`. The lines below a command are what it prints: `…` stands for any text, and alone for any lines. The order of lines
//! and all times may differ.

/// A command and what it prints.
#[derive(Debug, PartialEq)]
pub(crate) struct Shown {
    pub(crate) command: String,
    pub(crate) status: i32,
    pub(crate) printed: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    File {
        name: String,
        text: String,
    },
    Edit {
        name: String,
        old: String,
        new: String,
    },
    Run(Vec<Shown>),
    /// The last command of `commands` keeps running; `printed` is what is seen in this terminal if there are no commands.
    Terminal {
        number: String,
        interrupts: bool,
        commands: Vec<Shown>,
        printed: Vec<String>,
    },
    Elsewhere {
        test: String,
        commands: Vec<String>,
    },
    Part {
        name: String,
        text: String,
    },
    Untested(Vec<String>),
}

/// What a marker says about the block behind it.
fn marker(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- ")?.strip_suffix(" -->")
}

/// The steps of a page. `says_not_tested` is how its language says that something was not tested.
pub(crate) fn steps(page: &str, says_not_tested: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = page.lines();
    // The text since the last heading or block.
    let (mut mark, mut above) = ("", String::new());
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            steps.push(step(mark, &above, language, &block, says_not_tested));
            mark = "";
            above.clear();
        } else if let Some(found) = marker(line) {
            mark = found;
        } else if !line.is_empty() {
            assert_eq!(mark, "", "a code block follows its comment; not: {line}");
            if line.starts_with('#') {
                above.clear();
            }
            above += line;
            above.push(' ');
        }
    }
    steps
}

fn step(mark: &str, above: &str, language: &str, block: &[&str], says_not_tested: &str) -> Step {
    let of = |kind: &str| mark.strip_prefix(kind).map(str::to_owned);
    let owned = |lines: Vec<&str>| lines.into_iter().map(str::to_owned).collect();
    if let Some(name) = of("file: ") {
        assert!(
            above.contains(&format!("`{name}`")),
            "the reader must know what to save as {name}: {above}"
        );
        return Step::File { name, text: block.join("\n") + "\n" };
    }
    if let Some(name) = of("edits: ") {
        assert_eq!(language, "diff", "{name} is changed by a diff");
        let without = |sign: char| -> String {
            let lines = block.iter().filter(|line| !line.starts_with(sign));
            lines.map(|line| format!("{}\n", line.get(1..).unwrap_or_default())).collect()
        };
        return Step::Edit { name, old: without('+'), new: without('-') };
    }
    if let Some(name) = of("part of: ") {
        let lines = block.iter().filter(|line| language != "diff" || !line.starts_with('+'));
        let lines = lines
            .map(|line| if language == "diff" { line.get(1..).unwrap_or_default() } else { line });
        return Step::Part { name, text: lines.collect::<Vec<_>>().join("\n") };
    }
    if mark == "not tested" {
        assert!(
            above.contains(says_not_tested),
            "the reader must know that this was not tested: {above}"
        );
        return Step::Untested(owned(block.to_vec()));
    }
    assert_eq!(language, "console", "a comment must say what this block is: {block:?}");
    if let Some(test) = of("run in: ") {
        let commands =
            block.iter().filter_map(|line| line.strip_prefix("$ ")).map(|line| words(line).0);
        return Step::Elsewhere { test, commands: commands.collect() };
    }
    let interrupts = block.first() == Some(&"^C");
    let (mut commands, mut printed) = (Vec::<Shown>::new(), Vec::new());
    for line in block.iter().skip(usize::from(interrupts)) {
        if let Some(line) = line.strip_prefix("$ ") {
            let (command, status) = words(line);
            commands.push(Shown { command, status, printed: Vec::new() });
        } else {
            let shown = commands.last_mut().map_or(&mut printed, |shown| &mut shown.printed);
            shown.push((*line).to_owned());
        }
    }
    if let Some(number) = of("terminal ") {
        return Step::Terminal { number, interrupts, commands, printed };
    }
    assert!(
        printed.is_empty() && !interrupts,
        "a comment must name the terminal of this block: {block:?}"
    );
    Step::Run(commands)
}

/// A command without its comment, and its exit status.
fn words(line: &str) -> (String, i32) {
    let (command, comment) = line.split_once("  #").unwrap_or((line, ""));
    let status = comment.trim().strip_prefix("exit status ");
    let status =
        status.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    let status = status.map_or(0, |number| number.parse().expect("an exit status is a number"));
    (command.trim().to_owned(), status)
}
