//! A side that writes anything: the partition takes nothing for an agreement that the agent did not write, and the agent reads
//! within its bounds.

use std::time::{Duration, Instant};

use hotadd_page::board::{BoardWriter, Entry, Outcome};
use proptest::prelude::*;
use rustix::io::pwrite;

use super::{CALLS, board, call, outcome, take};

pub(super) const AWAKE_AT: u64 = 384;
const ANSWERS_AT: u64 = 512;
const POSTED_AT: u64 = 128;
const CALLS_AT: u64 = 2048;
const LENGTH: u64 = 4096;

/// What the two sides do, in any order.
#[derive(Clone, Debug)]
enum Step {
    Post(u32),
    Wait(usize),
    Refuse(usize),
    Scribble(u64, u32),
    /// Writes an answer to the call that was posted as this one, with the highest bit or not.
    Answer(usize, bool),
    Fill(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let any_word = prop_oneof![0..70_u32, any::<u32>(), (0..70_u32).prop_map(|n| n | 1 << 31)];
    prop_oneof![
        4 => (0..70_u32).prop_map(Step::Post),
        4 => (0..64_usize).prop_map(Step::Wait),
        2 => (0..64_usize).prop_map(Step::Refuse),
        4 => (0..LENGTH / 4, any_word).prop_map(|(at, word)| Step::Scribble(at * 4, word)),
        4 => ((0..64_usize), any::<bool>()).prop_map(|(nth, high)| Step::Answer(nth, high)),
        1 => any::<u8>().prop_map(Step::Fill),
    ]
}

/// A call that was posted, and whether it was refused over the socket.
struct Posted {
    entry: Entry,
    place: usize,
    refused: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_partition_finds_no_agreement_that_the_agent_did_not_write(steps in prop::collection::vec(step(), 1..80)) {
        let partition = BoardWriter::create().unwrap();
        let [memory, _] = partition.descriptors();
        let (mut posted, mut count) = (Vec::<Posted>::new(), 0);
        // The word that the agent wrote last as the answer for each place.
        let mut written = [0_u32; CALLS as usize];
        for step in steps {
            match step {
                Step::Post(serial) => if let Some(entry) = partition.post(&call(serial)) {
                    posted.push(Posted { entry, place: count % CALLS as usize, refused: false });
                    count += 1;
                },
                Step::Wait(nth) => if let Some(Posted { entry, place, refused }) = posted.get(nth) {
                    let reason = || refused.then_some(());
                    match partition.wait(*entry, Instant::now(), reason) {
                        Outcome::Agreed => prop_assert!(!refused && written[*place] == entry.serial()),
                        Outcome::Interrupted(()) => prop_assert!(refused),
                        Outcome::Late => prop_assert!(!refused),
                    }
                },
                Step::Refuse(nth) => if let Some(posted) = posted.get_mut(nth) {
                    posted.refused = true;
                    partition.interrupt(posted.entry);
                },
                Step::Scribble(at, word) => {
                    pwrite(memory, &word.to_ne_bytes(), at).unwrap();
                    if let Some(answer) = at.checked_sub(ANSWERS_AT) && answer < 128 {
                        written[(answer / 4) as usize] = word;
                    }
                }
                Step::Answer(nth, high) => if let Some(Posted { entry, place, .. }) = posted.get(nth) {
                    let word = entry.serial() | u32::from(high) << 31;
                    pwrite(memory, &word.to_ne_bytes(), ANSWERS_AT + *place as u64 * 4).unwrap();
                    written[*place] = word;
                },
                Step::Fill(byte) => {
                    pwrite(memory, &[byte; LENGTH as usize], 0).unwrap();
                    written.fill(u32::from_ne_bytes([byte; 4]));
                }
            }
        }
    }

    #[test]
    fn an_agent_reads_any_call_within_bounds(
        bytes in prop::collection::vec(any::<u8>(), 64),
        place in 0..CALLS,
        ahead in any::<u32>(),
    ) {
        let (partition, mut agent) = board();
        let [memory, _] = partition.descriptors();
        for serial in 1..=place {
            partition.post(&call(serial)).unwrap();
            let (taken, _) = take(&mut agent);
            agent.agree(taken);
        }
        pwrite(memory, &bytes, CALLS_AT + u64::from(place) * 64).unwrap();
        pwrite(memory, &ahead.to_ne_bytes(), POSTED_AT).unwrap();
        for _ in 0..=CALLS {
            match agent.next() {
                None => break,
                Some(Ok((entry, call))) => {
                    prop_assert!(call.notice.processor().index.get() < 2048);
                    prop_assert!(entry.serial() == call.serial && call.serial < 1 << 31 && call.serial > 0);
                    agent.agree(entry);
                    agent.skip(entry);
                }
                Some(Err(garbled)) => prop_assert!(!garbled.to_string().is_empty()),
            }
        }
        prop_assert!(agent.next().is_none(), "it ends, whatever was posted");
    }
}

#[test]
fn every_byte_of_a_call_may_be_wrong() {
    let (partition, mut agent) = board();
    let [memory, _] = partition.descriptors();
    let mut count = 0_u32;
    for at in 0..64_u64 {
        for byte in [0, 1, 6, 0x10, 0x7F, 0x80, 0xFF] {
            // Serials that a byte cannot make equal to an answer.
            let entry = partition.post(&call(0x0100_0000 + count)).unwrap();
            let place = u64::from(count % CALLS);
            count += 1;
            pwrite(memory, &[byte], CALLS_AT + place * 64 + at).unwrap();
            if let Some(Ok((_, call))) = agent.next() {
                assert!(call.notice.processor().index.get() < 2048 && call.serial < 1 << 31);
            }
            agent.agree(entry);
            assert_eq!(outcome(&partition, entry), Outcome::Agreed);
        }
    }
}

#[test]
fn more_calls_than_places_are_garbled() {
    let (partition, mut agent) = board();
    pwrite(partition.descriptors()[0], &33_u32.to_ne_bytes(), POSTED_AT).unwrap();
    let error = agent.next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "more calls were posted than the board has places");
    assert!(agent.next().is_none());
}

#[test]
fn an_agent_that_restores_the_answer_delays_an_interrupt_only_shortly() {
    let (partition, _agent) = board();
    let entry = partition.post(&call(1)).unwrap();
    let reason = std::sync::Mutex::new(None);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            // The partition does not interrupt: to it, this is as if the agent had taken change and wake-up away.
            *reason.lock().unwrap() = Some(());
        });
        let deadline = Instant::now() + super::PATIENCE;
        let outcome = partition.wait(entry, deadline, || *reason.lock().unwrap());
        assert_eq!(outcome, Outcome::Interrupted(()));
        assert!(Instant::now() + super::PATIENCE / 2 < deadline);
    });
}
