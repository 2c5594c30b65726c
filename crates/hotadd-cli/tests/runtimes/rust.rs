//! What Rust programs notice, and a pool of rayon that follows. The programs are this test binary, started again.

use std::env;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hotadd::{PageError, SetPage};

use super::program::{Program, path};

/// The variable that makes a test of this file the program. Its value is the path of the partition's page.
const AGAIN: &str = "HOTADD_RUNTIMES";

/// The test of this name again, as a program in a partition.
fn again(name: &str) -> Option<Program> {
    let this = env::current_exe().unwrap();
    let test = format!("rust::{name}");
    // Names of partitions have at most 64 characters.
    Program::start_with_page(name.split('_').next().unwrap(), |page| {
        let variable = format!("{AGAIN}={page}");
        let words = ["env", &variable, path(&this), "--exact", &test, "--nocapture"];
        words.map(str::to_owned).to_vec()
    })
}

/// What the program says. On its own line, because the harness prints the test's name without a line end.
fn say(what: &str) {
    println!("\n{what}");
}

fn threads() -> usize {
    thread::available_parallelism().unwrap().get()
}

fn wait_for_a_second_processor() {
    while threads() == 1 {
        // The pause only leaves the processor to those that are waited for.
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn std_counts_the_new_processor() {
    if env::var_os(AGAIN).is_some() {
        say(&format!("start available_parallelism={}", threads()));
        wait_for_a_second_processor();
        return say(&format!("joined available_parallelism={}", threads()));
    }
    let Some(mut program) = again("std_counts_the_new_processor") else { return };
    assert_eq!(program.says("start").number("available_parallelism"), 1);
    program.add();
    assert_eq!(program.says("joined").number("available_parallelism"), 2, "it is counted");
    program.end();
}

#[test]
fn rayon_counts_when_a_pool_is_created() {
    if env::var_os(AGAIN).is_some() {
        say(&format!("start pool={}", rayon::current_num_threads()));
        wait_for_a_second_processor();
        let later = rayon::ThreadPoolBuilder::new().build().unwrap();
        let (pool, later) = (rayon::current_num_threads(), later.current_num_threads());
        return say(&format!("joined pool={pool} later={later}"));
    }
    let Some(mut program) = again("rayon_counts_when_a_pool_is_created") else { return };
    assert_eq!(program.says("start").number("pool"), 1);
    program.add();
    assert_eq!(program.says("joined").numbers(["pool", "later"]), [1, 2]);
    program.end();
}

#[test]
fn tokio_counts_when_a_runtime_is_created() {
    if env::var_os(AGAIN).is_some() {
        let runtime = || tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let early = runtime();
        let workers = || early.metrics().num_workers();
        say(&format!("start workers={}", workers()));
        wait_for_a_second_processor();
        let later = runtime().metrics().num_workers();
        return say(&format!("joined workers={} later={later}", workers()));
    }
    let Some(mut program) = again("tokio_counts_when_a_runtime_is_created") else { return };
    assert_eq!(program.says("start").number("workers"), 1);
    program.add();
    assert_eq!(program.says("joined").numbers(["workers", "later"]), [1, 2]);
    program.end();
}

/// Replaces the pool after each change of the set. The old pool ends when its last user has dropped it.
fn follow(page: &SetPage, pool: &Mutex<Arc<rayon::ThreadPool>>) -> Result<(), PageError> {
    let mut seen = page.epoch();
    loop {
        let threads = page.count() as usize;
        let new = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        *pool.lock().unwrap() = Arc::new(new);
        say(&format!("workers {threads}"));
        seen = page.wait(seen, None)?.expect("there is no time limit");
    }
}

#[test]
fn a_rayon_pool_follows() {
    if let Some(page) = env::var_os(AGAIN) {
        let page = SetPage::open(page).unwrap();
        let pool = Mutex::new(Arc::new(rayon::ThreadPoolBuilder::new().build().unwrap()));
        thread::scope(|scope| {
            scope.spawn(|| follow(&page, &pool));
            loop {
                let now = Arc::clone(&pool.lock().unwrap());
                now.broadcast(|_| (0..5_000_000).map(std::hint::black_box).sum::<u64>());
            }
        });
    }
    let Some(mut program) = again("a_rayon_pool_follows") else { return };
    assert_eq!(program.says("workers").text(), "1");
    program.add();
    assert_eq!(program.says("workers").text(), "2", "it is told by the page");
    program.uses_two_processors();
    program.stop();
}
