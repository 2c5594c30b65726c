//! `Counters`: what is counted where.
#![cfg(not(hotadd_loom))]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::{ptr, thread};

use common::{cpus, pin};
use hotadd_percpu::{Counters, cpu};

#[test]
fn an_addition_is_counted_on_every_cpu_and_without_a_counter() {
    let cpus = cpus();
    let counters = Counters::new(cpu::possible(), ());
    assert!(!counters.is_published(cpus[0]));
    counters.publish(cpus[0], cpus[0]).unwrap();
    assert!(counters.is_published(cpus[0]));
    for cpu in &cpus {
        assert!(pin(*cpu));
        counters.add(10);
    }
    assert_eq!(counters.sum(), 10 * cpus.len() as u64);
    assert_eq!(counters.spare_uses(), cpus.len() as u64 - 1);
}

#[test]
fn the_sum_wraps() {
    let counters = Counters::new(1, ());
    counters.publish(0, 0).unwrap();
    counters.add(u64::MAX);
    counters.add(3);
    assert_eq!(counters.sum(), 2);
}

static IN_HANDLER: AtomicU64 = AtomicU64::new(0);
static INTERRUPTED: std::sync::OnceLock<Counters> = std::sync::OnceLock::new();

extern "C" fn interrupt(_: libc::c_int) {
    // An addition takes no lock, allocates nothing, and so may be made here. It may have interrupted another one.
    INTERRUPTED.get().unwrap().add(1);
    IN_HANDLER.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn an_addition_in_a_signal_handler_loses_none_that_it_interrupts() {
    let counters = INTERRUPTED.get_or_init(|| Counters::new(cpu::possible(), ()));
    (0..u32::try_from(cpu::possible()).unwrap())
        .for_each(|cpu| counters.publish(cpu, cpu).unwrap());
    // SAFETY: all-zero is a valid action, which the next statements complete.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = interrupt as *const () as usize;
    // SAFETY: the handler does only what a handler may do.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) }, 0);
    counters.add(0);
    const TIMES: u64 = 2_000_000;
    let adding = thread::spawn(|| (0..TIMES).for_each(|_| INTERRUPTED.get().unwrap().add(1)));
    let thread = std::os::unix::thread::JoinHandleExt::as_pthread_t(&adding);
    while !adding.is_finished() {
        // SAFETY: the thread has not been joined, so its handle is valid.
        unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
    }
    adding.join().unwrap();
    assert_eq!(counters.sum(), TIMES + IN_HANDLER.load(Ordering::Relaxed));
}
