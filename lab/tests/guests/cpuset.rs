//! The hardware `cpuset` on real kernels: it grows and shrinks only with agreement, and changes by others are
//! noticed.

use std::time::{Duration, Instant};

use lab::{Guest, Kernel};

use crate::common::{bring_up, cpu, lab, on_each_kernel, text};

const LIMIT: Duration = Duration::from_secs(60);

on_each_kernel!(
    a_cpuset_grows_and_shrinks_only_with_agreement,
    a_cpuset_partition_that_would_be_invalid_is_not_created,
    a_user_without_privileges_governs_a_delegated_cgroup,
    the_error_says_what_prevents_a_cpuset,
);

/// The program in the guest that governs a cpuset.
struct Governor<'a> {
    guest: &'a Guest,
    pid: u32,
    said: &'static str,
}

impl<'a> Governor<'a> {
    /// Starts the program with a kind of cpuset, processors and a cgroup.
    fn start(guest: &'a Guest, words: &[&str]) -> Self {
        let (orders, said) = ("/tmp/orders", "/tmp/said");
        let _ = guest.run(&["mkfifo", orders]).unwrap();
        let argv = [&["lab-cpuset", orders], words].concat();
        let governor = Self { guest, pid: guest.start(&argv, said).unwrap(), said };
        governor.until("up: ");
        governor
    }

    fn order(&self, line: &str) {
        let script = format!("echo {line} > /tmp/orders");
        assert!(self.guest.run(&["sh", "-c", &script]).unwrap().status.success());
    }

    /// Waits for a line that begins with this text, and returns it.
    fn until(&self, begins: &str) -> String {
        self.until_again(begins, 1)
    }

    /// The same with the second such line, the third and so on.
    fn until_again(&self, begins: &str, nth: usize) -> String {
        let began = Instant::now();
        loop {
            let said = self.guest.read(self.said).unwrap();
            let mut lines = said.lines().filter(|line| line.starts_with(begins));
            if let Some(line) = lines.nth(nth - 1) {
                return line.to_owned();
            }
            assert!(began.elapsed() < LIMIT, "{begins:?} is said: {said}");
        }
    }

    fn end(self) {
        self.order("end");
        let said = || self.guest.read(self.said).unwrap();
        assert!(self.guest.wait(self.pid, LIMIT).unwrap().success(), "{}", said());
    }
}

/// The processors on which a process may run, as the kernel reports them.
fn allowed(guest: &Guest, pid: u32) -> String {
    let status = guest.read(&format!("/proc/{pid}/status")).unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t"));
    list.unwrap().to_owned()
}

fn a_cpuset_grows_and_shrinks_only_with_agreement(kernel: Kernel) {
    let guest = lab(kernel).program("lab-cpuset").unwrap().cpus(5, 8).boot().unwrap();
    let governor = Governor::start(&guest, &["member", "0", "/cgroup", "set"]);
    let group = |file: &str| guest.read(&format!("/cgroup/set/{file}")).unwrap();
    let worker = guest.start(&["sleep", "1000"], "/dev/null").unwrap();
    governor.order(&format!("take {worker}"));

    governor.order("add 1");
    governor.until("1 joined");
    governor.order("add 3");
    governor.until("3 refused: not three");
    assert_eq!(group("cpuset.cpus.effective"), "0-1", "{kernel}: one agreed to, one refused (A3)");
    assert_eq!(allowed(&guest, worker), "0-1", "{kernel}: and its process runs there (A5)");
    governor.order("remove 0");
    governor.until("0 left");
    assert_eq!(allowed(&guest, worker), "1", "{kernel}: X1");
    governor.order("add 2");
    governor.until("2 joined");

    guest.write(&cpu("cpu2/online"), "0").unwrap();
    governor.until("2 vanished"); // X2
    guest.write(&cpu("cpu2/online"), "1").unwrap();
    assert_eq!(allowed(&guest, worker), "1", "{kernel}: its return was not agreed");
    governor.order("add 2");
    // The masks change before the add is over. What another process does during an add is reported in another way.
    governor.until_again("2 joined", 2);
    assert_eq!(allowed(&guest, worker), "1-2", "{kernel}: it comes back by consent (X3)");

    guest.write("/cgroup/set/cpuset.cpus", "1-3").unwrap();
    governor.until("3 joined without agreement"); // Q3
    let found = governor.until("found: another process");
    let wrote = "another process wrote to /cgroup/set/cpuset.cpus: it was 1-2, and is 1-3";
    assert_eq!(found, format!("found: {wrote}"));

    governor.order("close");
    let open = governor.until("open: ");
    let who = format!("in which there are processes: {worker} (sleep): EBUSY");
    assert!(open.contains(&who), "what is in use stays, and it is said whose it is: {open}");
    guest.signal(worker, rustix::process::Signal::KILL.as_raw()).unwrap();
    guest.wait(worker, LIMIT).unwrap();
    governor.order("end");
    assert!(guest.wait(governor.pid, LIMIT).unwrap().success());
    assert!(guest.read("/cgroup/set/cpuset.cpus").is_err(), "what is empty is gone with its maker");
    let control = guest.read("/cgroup/cgroup.subtree_control").unwrap();
    assert_eq!(control, "", "{kernel}: and so is what was enabled for it");
}

fn a_cpuset_partition_that_would_be_invalid_is_not_created(kernel: Kernel) {
    let guest = lab(kernel).program("lab-cpuset").unwrap().cpus(5, 8).boot().unwrap();
    guest.write("/cgroup/cgroup.subtree_control", "+cpuset").unwrap();
    guest.run(&["mkdir", "/cgroup/ours", "/cgroup/neighbour"]).unwrap();
    guest.write("/cgroup/neighbour/cpuset.cpus", "2").unwrap();
    let governor = Governor::start(&guest, &["root", "1", "/cgroup/ours"]);
    let group = |file: &str| guest.read(&format!("/cgroup/ours/{file}")).unwrap();
    let state =
        || [group("cpuset.cpus"), group("cpuset.cpus.effective"), group("cpuset.cpus.partition")];

    governor.order("add 2");
    let refused = governor.until("2 refused: all parties agreed, but the platform failed");
    let why = match kernel {
        Kernel::V6_1 => "EINVAL (22): Cpu list in cpuset.cpus not exclusive",
        Kernel::V6_12 => "EINVAL (22): the kernel gives no reason",
    };
    assert!(refused.contains(why), "{kernel}: {refused}");
    assert_eq!(state(), ["1", "1", "root"], "{kernel}: it is restored and valid (A4)");

    guest.write("/cgroup/neighbour/cpuset.cpus", "3").unwrap();
    governor.order("add 2");
    governor.until("2 joined");
    assert_eq!(state(), ["1-2", "1-2", "root"], "{kernel}: once no other cgroup has it");
    assert_eq!(
        guest.read("/cgroup/cpuset.cpus.effective").unwrap(),
        "0,3-4",
        "{kernel}: it is its own"
    );

    guest.write("/cgroup/neighbour/cpuset.cpus", "2-3").unwrap();
    let found = governor.until("found: the cpuset is no longer a valid root");
    let why = if kernel == Kernel::V6_1 { "not exclusive" } else { "gives no reason" };
    assert!(found.contains(why), "{kernel}: {found}");
    governor.order("add 0");
    let refused = governor.until("0 refused: ");
    assert!(
        refused.contains("not a valid partition and must be made one first"),
        "{kernel}: A8: {refused}"
    );
    governor.end();
    assert_eq!(group("cpuset.cpus"), "1-2", "{kernel}: what was adopted is left as it is");
}

fn a_user_without_privileges_governs_a_delegated_cgroup(kernel: Kernel) {
    let lab = lab(kernel).program("lab-cpuset").unwrap();
    let guest = lab.program("hotadd").unwrap().cpus(2, 8).boot().unwrap();
    bring_up(&guest, 2);
    // A delegation like systemd's: the folder, and the files that move processes and enable controllers.
    let script =
        "set -e; echo 'u:x:1000:1000::/tmp:/bin/sh' > /etc/passwd; echo 'u:x:1000:' > /etc/group
        chmod 1777 /tmp
        echo +cpuset > /cgroup/cgroup.subtree_control; mkdir /cgroup/user; cd /cgroup/user
        echo 0-1 > cpuset.cpus
        chown u:u . cgroup.procs cgroup.subtree_control cgroup.threads; mkfifo -m 666 /tmp/orders";
    let made = guest.run(&["sh", "-c", script]).unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    // The program is in the cgroup itself, like a shell in a delegated scope.
    let script = "echo 0 > /cgroup/user/cgroup.procs
        exec su u -c 'exec lab-cpuset /tmp/orders member 0 /cgroup/user set'";
    let pid = guest.start(&["sh", "-c", script], "/tmp/said").unwrap();
    let governor = Governor { guest: &guest, pid, said: "/tmp/said" };
    governor.until("up: /cgroup/user/set");
    governor.order("add 1");
    governor.until("1 joined");
    assert_eq!(guest.read("/cgroup/user/set/cpuset.cpus.effective").unwrap(), "0-1", "{kernel}");
    governor.order("add 2");
    let refused = governor.until("2 refused: ");
    assert!(
        refused.contains("the parent cgroup does not have it; it has 0-1"),
        "{kernel}: A8: {refused}"
    );
    governor.end();
    assert!(guest.read("/cgroup/user/set/cpuset.cpus").is_err(), "{kernel}: it is gone");
    let control = guest.read("/cgroup/user/cgroup.subtree_control").unwrap();
    assert_eq!(control, "", "{kernel}: the user's cgroup is restored");

    // The command does so too, beside the shell that started it.
    let script = "echo 0 > /cgroup/user/cgroup.procs
        exec su u -c 'hotadd run -- sh -c \"until [ \\$(nproc) = 2 ]; do :; done; cat /proc/self/cgroup\"'";
    let ran = guest.run(&["sh", "-c", script]).unwrap();
    let (said, cgroup) = (text(&ran.stderr), text(&ran.stdout));
    assert!(ran.status.success(), "{kernel}: {said}");
    assert!(
        said.contains("to be added: 1 (cpuset processors of /cgroup/user/hotadd-run."),
        "{said}"
    );
    assert!(cgroup.starts_with("0::/user/hotadd-run."), "{kernel}: {cgroup}");
    let control = guest.read("/cgroup/user/cgroup.subtree_control").unwrap();
    assert_eq!(control, "", "{kernel}: nothing is left of that either");
}

fn the_error_says_what_prevents_a_cpuset(kernel: Kernel) {
    let guest = lab(kernel).program("lab-cpuset").unwrap().boot().unwrap();
    let script = "set -e; cd /cgroup; echo +cpuset > cgroup.subtree_control; mkdir -p p/q off
        mkdir off/in; sleep 1000 & echo $! > p/cgroup.procs; echo +cpuset > p/cgroup.subtree_control
        cat p/q/cgroup.type";
    let made = guest.run(&["sh", "-c", script]).unwrap();
    assert_eq!(text(&made.stdout), "domain invalid\n", "{kernel}: {}", text(&made.stderr));
    let refused = |words: &[&str]| {
        let argv = [&["lab-cpuset", "/tmp/orders", "member", "0"], words].concat();
        let ran = guest.run(&argv).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{kernel}: {words:?}");
        text(&ran.stdout)
    };
    let cases: [(&[&str], &str); 6] = [
        (&["/tmp", "set"], "error: /tmp cannot be used: it is not a cgroup of version 2\n"),
        (&["/cgroup/none", "set"], "error: /cgroup/none cannot be used: ENOENT (2)\n"),
        (&["/cgroup"], "error: /cgroup cannot be used: it is the root cgroup, which"),
        (&["/cgroup/off/in"], "error: /cgroup/off/in cannot be used: the cpuset controller is not"),
        (
            &["/cgroup/off/in", "set"],
            "error: /cgroup/off/in cannot be used: the cpuset controller is",
        ),
        (&["/cgroup/p/q", "set"], "error: /cgroup/p/q cannot be used: it is invalid, because a"),
    ];
    for (words, begins) in cases {
        let said = refused(words);
        assert!(said.starts_with(begins), "{kernel}: {words:?}: {said}");
    }
    let taken = refused(&["/cgroup", "p"]);
    assert!(
        taken.starts_with("error: cannot make the cgroup /cgroup/p: EEXIST"),
        "{kernel}: {taken}"
    );
    let left =
        guest.run(&["sh", "-c", "cd /cgroup; find . -type d; cat p/q/cgroup.subtree_control"]);
    let left = text(&left.unwrap().stdout);
    let mut left: Vec<&str> = left.lines().collect();
    left.sort_unstable();
    assert_eq!(left, [".", "./off", "./off/in", "./p", "./p/q"], "{kernel}: nothing was made");
}
