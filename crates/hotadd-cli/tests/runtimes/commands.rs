//! What commands notice that start one process for each processor.

use std::fs;

use super::program::{Program, at_hand, example, path};

#[test]
fn nproc_counts_the_mask_whenever_it_is_called() {
    let script =
        "echo start nproc=$(nproc); while [ $(nproc) = 1 ]; do :; done; echo joined nproc=$(nproc)";
    let Some(mut program) = Program::start("nproc", &["sh", "-c", script]) else { return };
    assert_eq!(program.says("start").number("nproc"), 1);
    program.add();
    assert_eq!(program.says("joined").number("nproc"), 2, "the new processor is counted");
    program.end();
}

#[test]
fn gnu_parallel_follows_a_file() {
    if !at_hand("parallel", "--version") {
        return;
    }
    let Some(mut program) = Program::start("parallel", &["sh", &example("parallel.sh")]) else {
        return;
    };
    assert_eq!(program.says("workers").text(), "1");
    program.add();
    assert_eq!(program.says("workers").text(), "2", "it is told by the file");
    program.uses_two_processors();
    program.stop();
}

#[test]
fn nginx_counts_the_machine_and_is_told_by_its_configuration() {
    if !at_hand("nginx", "-v") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // The workers run as this user, and no client connects to them.
    let config = |workers: &str| {
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let text = format!(
            "daemon off; pid nginx.pid; error_log stderr; worker_processes {workers}; {user}\n\
             events {{}}\nhttp {{ access_log off; server {{ listen unix:{}/socket; }} }}\n",
            path(dir.path())
        );
        fs::write(dir.path().join("nginx.conf"), text).unwrap();
    };
    config("auto");
    // It says how many workers it has: first by itself, then behind a reload.
    let script = r#"cd "$1"
        nginx -p "$1" -c "$1/nginx.conf" 2>/dev/null & master=$!
        workers() { pgrep -c -P $master -f 'nginx: worker process$'; }
        until [ "$(workers)" -gt 0 ]; do sleep 0.1; done; echo "start workers=$(workers) machine=$(nproc --all)"
        while [ "$(nproc)" = 1 ]; do sleep 0.1; done; echo "joined workers=$(workers) machine=$(nproc --all)"
        sed -i 's/worker_processes auto/worker_processes 3/' nginx.conf
        kill -HUP $master
        until [ "$(workers)" = 3 ]; do sleep 0.1; done; echo "told workers=$(workers)"
        kill -TERM $master; wait $master"#;
    let program = Program::start("nginx", &["bash", "-c", script, "nginx", path(dir.path())]);
    let Some(mut program) = program else { return };
    let before = program.says("start");
    assert_eq!(before.number("workers"), before.number("machine"), "it counts the machine");
    program.add();
    assert_eq!(program.says("joined").number("workers"), before.number("workers"));
    assert_eq!(program.says("told").number("workers"), 3, "by worker_processes and a reload");
    program.end();
}
