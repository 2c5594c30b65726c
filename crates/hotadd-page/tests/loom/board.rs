//! The races on a board. A wake-up that is lost is a deadlock here, which loom reports: nothing looks again after a while.

use hotadd_page::board::Outcome;
use hotadd_page::board::protocol;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// The kernel's side of one futex word: it compares the word and puts the thread to sleep under one lock, which a wake takes too.
#[derive(Default)]
struct Futex {
    /// How many wakes there were.
    wakes: Mutex<u32>,
    woken: Condvar,
}

impl Futex {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        let mut wakes = self.wakes.lock().unwrap();
        // Relaxed: the kernel promises no more than the comparison.
        if word.load(Ordering::Relaxed) != expected {
            return;
        }
        let before = *wakes;
        while *wakes == before {
            wakes = self.woken.wait(wakes).unwrap();
        }
    }

    fn wake(&self) {
        *self.wakes.lock().unwrap() += 1;
        self.woken.notify_all();
    }
}

/// A level-triggered doorbell.
#[derive(Default)]
struct Doorbell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Doorbell {
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn poll_and_silence(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

#[derive(Default)]
struct Board {
    posted: AtomicU32,
    awake: AtomicU32,
    waiting: AtomicU32,
    answer: AtomicU32,
    /// The fields of the calls.
    calls: [AtomicU32; 2],
    futex: Futex,
    doorbell: Doorbell,
    /// What the interrupter has stored: 0 for nothing.
    reason: AtomicU32,
}

impl Board {
    fn post(&self, nth: u32, field: u32) {
        self.calls[nth as usize].store(field, Ordering::Relaxed);
        if protocol::post(&self.posted, nth + 1, &self.awake) == 0 {
            self.doorbell.ring();
        }
    }

    /// Posts a call of a replay behind one that may not be answered yet.
    fn post_chained(&self, nth: u32, field: u32, last: u32) {
        self.calls[nth as usize].store(field, Ordering::Relaxed);
        let awake = protocol::post(&self.posted, nth + 1, &self.awake);
        if awake == 0 && !protocol::is_unanswered(&self.answer, last) {
            self.doorbell.ring();
        }
    }

    /// The agent takes two calls, and sleeps in between if it sees only one.
    fn takes_two(&self, watches: bool, each: impl Fn(u32)) {
        let mut taken = 0;
        while taken < 2 {
            if watches {
                // A watch that finds nothing, then a sleep.
                protocol::start_watching(&self.awake, 0);
            }
            let mut posted = protocol::stop_watching(&self.awake, &self.posted);
            if posted == taken {
                self.doorbell.poll_and_silence();
                posted = self.posted.load(Ordering::Acquire);
            }
            for nth in taken..posted {
                let field = self.calls[nth as usize].load(Ordering::Relaxed);
                assert_eq!(field, nth + 10, "the call is there");
                each(nth);
            }
            taken = posted;
        }
    }

    fn answer(&self, word: u32) {
        if protocol::answer(&self.answer, word, &self.waiting, 0) {
            self.futex.wake();
        }
    }

    /// What `BoardWriter::interrupt` does for the first interrupt of a call.
    fn interrupt(&self) {
        protocol::interrupt(&self.answer);
        self.futex.wake();
    }

    fn wait(&self, serial: u32) -> Outcome<u32> {
        protocol::wait(
            &self.answer,
            &self.waiting,
            (0, serial),
            || match self.reason.load(Ordering::Relaxed) {
                0 => None,
                reason => Some(reason),
            },
            |_| false,
            |word| {
                self.futex.wait(&self.answer, word);
                true
            },
        )
    }
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn an_agent_that_stops_watching_and_sleeps_misses_no_call() {
    check(|| {
        let board = Arc::new(Board::default());
        let partition = {
            let board = Arc::clone(&board);
            thread::spawn(move || {
                board.post(0, 10);
                board.post(1, 11);
            })
        };
        board.takes_two(true, |_| {});
        partition.join().unwrap();
    });
}

#[test]
fn a_call_behind_one_without_an_answer_needs_no_doorbell() {
    check(|| {
        let board = Arc::new(Board::default());
        let partition = {
            let board = Arc::clone(&board);
            thread::spawn(move || {
                board.post(0, 10);
                board.post_chained(1, 11, 1);
            })
        };
        board.takes_two(false, |nth| {
            if nth == 0 {
                board.answer(1);
            }
        });
        partition.join().unwrap();
    });
}

#[test]
fn a_partition_that_sleeps_is_woken_by_the_agreement() {
    check(|| {
        let board = Arc::new(Board::default());
        let agent = {
            let board = Arc::clone(&board);
            thread::spawn(move || {
                // What the agent prepares before it agrees.
                board.calls[0].store(5, Ordering::Relaxed);
                board.answer(1);
            })
        };
        assert_eq!(board.wait(1), Outcome::Agreed);
        assert_eq!(board.calls[0].load(Ordering::Relaxed), 5, "the agent's work is visible");
        agent.join().unwrap();
    });
}

#[test]
fn a_refusal_ends_the_wait_and_an_agreement_never_hides_it() {
    check(|| {
        let board = Arc::new(Board::default());
        let interrupter = {
            let board = Arc::clone(&board);
            thread::spawn(move || {
                board.reason.store(7, Ordering::Relaxed);
                board.interrupt();
            })
        };
        assert_eq!(board.wait(1), Outcome::Interrupted(7));
        interrupter.join().unwrap();
    });
}

#[test]
fn of_agreement_and_interrupt_at_once_one_ends_the_wait() {
    for word in [1, 1 | protocol::INTERRUPT] {
        check(move || {
            let board = Arc::new(Board::default());
            let agent = {
                let board = Arc::clone(&board);
                thread::spawn(move || board.answer(word))
            };
            let interrupter = {
                let board = Arc::clone(&board);
                thread::spawn(move || {
                    board.reason.store(7, Ordering::Relaxed);
                    board.interrupt();
                })
            };
            let outcome = board.wait(1);
            if word == 1 {
                assert!(matches!(outcome, Outcome::Agreed | Outcome::Interrupted(7)));
            } else {
                // The interrupt makes the serial of the word of a skipped call: it must not be taken for an agreement.
                assert_eq!(outcome, Outcome::Interrupted(7));
            }
            agent.join().unwrap();
            interrupter.join().unwrap();
            assert_eq!(board.wait(1), Outcome::Interrupted(7), "and it stays refused");
        });
    }
}
