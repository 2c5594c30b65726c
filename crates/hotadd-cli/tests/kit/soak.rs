//! The host's own runtime under the filter of system calls: allocator, threads, unwinder, text and time.

use std::path::Path;

use crate::common::{of, output, stderr, stdout};
use crate::{Kit, common};

/// How long each form runs: long enough for every size to be taken and freed many times. `HOTADD_RUNTIME_SOAK` overrides it, in
/// seconds.
const SECONDS: u64 = 2;

/// Whatever a driver asks of the documented functions, the system calls for it are the host's own. None may be refused.
#[test]
fn no_system_call_of_the_hosts_own_runtime_is_refused() {
    let seconds = std::env::var("HOTADD_RUNTIME_SOAK").ok().and_then(|text| text.parse().ok());
    let seconds: u64 = seconds.unwrap_or(SECONDS);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kit/soak.c");
    let kit = Kit::new();
    for (compiler, form) in [("sys-cc", "sys"), ("so-cc", "so")] {
        let driver = format!("soak.{form}");
        let define = format!("-DSECONDS={seconds}");
        kit.compile(compiler, &["-O2", "-Wall", &define, source.to_str().unwrap(), "-o", &driver]);
        let path = kit.path(&driver);
        let limit = format!("{},timeout={}", path.display(), (seconds + 60) * 1000);
        let done = output(&["run", "--simulate", "1+0", "--json", "--driver", &limit]);
        assert!(done.status.success(), "{driver}: {}", stderr(&done));
        let events = common::events(&stdout(&done));
        let said = of(&events, "said");
        let last = said.last().and_then(|said| said["text"].as_str());
        let rounds = last.and_then(|text| text.strip_suffix(" rounds"));
        assert!(rounds.is_some_and(|rounds| rounds != "0"), "{driver}: {events:#?}");
        assert_eq!(of(&events, "breach").len(), 0, "{events:#?}");
        assert!(stdout(&done).contains("unloaded, 0 bytes of pool left"), "{events:#?}");
    }
}
