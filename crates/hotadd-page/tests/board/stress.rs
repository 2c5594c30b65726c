//! Many exchanges between threads, in which answers, refusals, sleeping and watching meet at any moment.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hotadd_page::board::{BoardReader, Entry, Outcome};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;

use super::{PATIENCE, board, call};

const EXCHANGES: u32 = 30_000;

/// Answers calls until the end: every third is skipped, the others are agreed to. Gives how many it took.
fn serve(agent: &mut BoardReader, done: &AtomicBool, answer: impl Fn(&BoardReader, Entry)) -> u32 {
    let mut taken = 0;
    let mut last = 0;
    while !done.load(Ordering::Relaxed) {
        while let Some(next) = agent.next() {
            let (entry, call) = next.unwrap();
            assert!(call.serial > last, "calls come in order, each once");
            last = call.serial;
            answer(agent, entry);
            taken += 1;
        }
        if agent.watch(Duration::from_micros(20)) {
            continue;
        }
        let doorbell = agent.doorbell();
        let mut polled = [PollFd::new(&doorbell, PollFlags::IN)];
        // A doorbell that is lost would be seen as a long time.
        let limit = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        assert_eq!(poll(&mut polled, Some(&limit)).unwrap(), 1, "the doorbell is rung");
        agent.silence();
    }
    taken
}

#[test]
fn no_call_and_no_wake_up_is_lost() {
    let (partition, mut agent) = board();
    let done = AtomicBool::new(false);
    // The call to refuse, and the calls that were refused up to this one.
    let (to_refuse, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    let current = Mutex::new(None::<Entry>);
    thread::scope(|scope| {
        let served = scope.spawn(|| {
            serve(&mut agent, &done, |agent, entry| {
                if entry.serial() % 3 == 0 {
                    // What the agent would send over the socket.
                    to_refuse.store(entry.serial(), Ordering::Release);
                    agent.skip(entry);
                } else {
                    agent.agree(entry);
                }
            })
        });
        let refuser = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let serial = to_refuse.load(Ordering::Acquire);
                let entry = *current.lock().unwrap();
                if let Some(entry) = entry
                    && serial == entry.serial()
                {
                    refused.store(serial, Ordering::Release);
                    partition.interrupt(entry);
                }
                thread::yield_now();
            }
        });
        let mut slow = 0;
        for serial in 1..=EXCHANGES {
            let entry = {
                let mut current = current.lock().unwrap();
                let entry = partition.post(&call(serial)).unwrap();
                *current = Some(entry);
                entry
            };
            let began = Instant::now();
            let reason = || (refused.load(Ordering::Acquire) == serial).then_some(());
            let outcome = partition.wait(entry, Instant::now() + PATIENCE, reason);
            let expected = if serial % 3 == 0 { Outcome::Interrupted(()) } else { Outcome::Agreed };
            assert_eq!(outcome, expected, "call {serial}");
            slow += u32::from(began.elapsed() >= Duration::from_millis(100));
        }
        done.store(true, Ordering::Relaxed);
        // Wakes the agent, which then ends.
        partition.post(&call(EXCHANGES + 1)).unwrap();
        let taken = served.join().unwrap();
        refuser.join().unwrap();
        assert!(taken == EXCHANGES || taken == EXCHANGES + 1, "{taken}");
        // A lost wake-up would cost the time until the partition looks again. A loaded machine is slow now and then.
        assert!(slow < 30, "{slow} exchanges took long: wake-ups are lost");
    });
}
