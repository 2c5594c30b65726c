//! A missing party of the daemon's configuration does not consent (L4): processors that are plugged in
//! meanwhile stay off.

use lab::Kernel;

use crate::common::daemon::{SAID, hotadd, online, put, start, until, with_daemon};
use crate::common::on_each_kernel;

const HUP: i32 = 1;

on_each_kernel!(
    l4_a_processor_plugged_in_while_a_named_script_is_missing_stays_off_until_it_returns
);

/// A script that is killed once, when it is asked about processor 1, and agrees to everything else.
const SCRIPT: &str = "#!/bin/sh
echo \"$1 $HOTADD_ID\" >> /tmp/asked
[ \"$1 $HOTADD_ID\" != 'add-start 1' ] || [ -e /tmp/killed ] || { > /tmp/killed; kill -KILL $$; }
";

fn l4_a_processor_plugged_in_while_a_named_script_is_missing_stays_off_until_it_returns(
    kernel: Kernel,
) {
    let guest = with_daemon(kernel).cpus(1, 8).boot().unwrap();
    guest.run(&["mkdir", "-p", "/etc/hotadd"]).unwrap();
    put(&guest, SCRIPT, "/etc/hotadd/ready");
    assert!(guest.run(&["chmod", "755", "/etc/hotadd/ready"]).unwrap().status.success());
    // Under emulation a program may take seconds to begin.
    let party = "[limits]\ntimeout = '60s'\n[[party]]\ndriver = 'exec:/etc/hotadd/ready'\n";
    let daemon = start(&guest, party);

    guest.add_cpu(1).unwrap();
    let line = until(&guest, SAID, "1 stays out");
    assert!(line.contains("ready refused: it was killed by SIGKILL"), "{kernel}: L3: {line}");
    until(&guest, SAID, "degraded: ready is missing since ");
    let asked = guest.read("/tmp/asked").unwrap();

    guest.add_cpu(2).unwrap();
    let line = until(&guest, SAID, "2 stays out");
    assert!(line.contains("ready refused: it is missing"), "{kernel}: L4: by its name: {line}");
    assert!(line.contains("L4"), "{kernel}: {line}");
    assert_eq!(online(&guest, 2), "0", "{kernel}: L4: it stays off");
    assert_eq!(guest.read("/tmp/asked").unwrap(), asked, "{kernel}: no party was asked");
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(status.contains("degraded: ready is missing since "), "{kernel}: {status}");
    let (add, code) = hotadd(&guest, &["add", "2"]);
    assert_eq!(code, Some(1), "{kernel}: {add}");
    let says =
        "ready is missing, and processor 2 is not added without it: it was killed by SIGKILL";
    assert!(add.contains(says), "{kernel}: {add}");

    guest.signal(daemon, HUP).unwrap();
    until(&guest, SAID, "ready is registered again");
    until(&guest, SAID, "the configuration was reloaded");
    guest.add_cpu(3).unwrap();
    let line = until(&guest, SAID, "3 joined");
    assert!(line.contains("agreed: ready"), "{kernel}: it is asked again: {line}");
    assert_eq!(online(&guest, 3), "1", "{kernel}: and it runs");
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(!status.contains("degraded"), "{kernel}: {status}");
    let (add, code) = hotadd(&guest, &["add", "2"]);
    assert_eq!(code, Some(0), "{kernel}: an explicit request adds the refused processor: {add}");
}
