//! Shell: `examples/agent.sh`. A shell cannot export an object, so hotadd starts the script for each notice.

use crate::common::terminal::Terminal;
use crate::{example, stderr, stdout};

#[test]
fn a_shell_script_refuses_by_name() {
    let driver = format!("exec:{}", example("agent.sh").display());
    let terminal =
        Terminal::start("shell", &["--driver", &driver, "--simulate", "1+3", "--", "cat"]);
    let refused = terminal.hotadd(&["add", "1"]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    let said = stdout(&refused);
    let expected = "agent.sh refused to add processor 1: there is no room for processor 1";
    assert!(said.starts_with(expected), "{said}");
    let joined = terminal.hotadd(&["add", "2"]);
    assert_eq!(joined.status.code(), Some(0), "{}", stderr(&joined));
}
