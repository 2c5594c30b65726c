//! What a board promises: agreements arrive, nothing else is taken for one, and every wait ends.
#![cfg(not(hotadd_loom))]

mod doorbell;
mod hostile;
mod stress;

use std::os::fd::BorrowedFd;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use hotadd_core::{
    Epoch, Errno, HardwareId, Notice, PartyId, Processor, ProcessorIndex, State, Status,
};
use hotadd_page::board::{BoardError, BoardReader, BoardWriter, Call, Entry, Outcome};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, Timespec, ftruncate, memfd_create};

/// Longer than anything here takes. Only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many calls a board has.
const CALLS: u32 = 32;

fn board() -> (BoardWriter, BoardReader) {
    let partition = BoardWriter::create().unwrap();
    let [memory, doorbell] = partition.descriptors().map(|fd| fd.try_clone_to_owned().unwrap());
    let agent = BoardReader::open(memory, doorbell).unwrap();
    (partition, agent)
}

fn call(serial: u32) -> Call {
    let processor = Processor { index: ProcessorIndex::new(3).unwrap(), id: HardwareId(7) };
    let notice = Notice::new(State::AddStart, processor);
    Call { serial, agent: 2, party: PartyId(9), notice, after: 4321, alone: false, chained: false }
}

/// Takes the next call, which must be there.
fn take(agent: &mut BoardReader) -> (Entry, Call) {
    agent.next().expect("a call was posted").expect("it is valid")
}

/// The outcome for an answer that is there already, or never comes.
fn outcome(partition: &BoardWriter, entry: Entry) -> Outcome<()> {
    partition.wait(entry, Instant::now(), || None)
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())).unwrap() == 1
}

#[test]
fn an_agent_reads_what_was_posted() {
    let (partition, mut agent) = board();
    assert!(agent.next().is_none());
    let processor = Processor { index: ProcessorIndex::new(2047).unwrap(), id: HardwareId(!0) };
    for (serial, state) in (1..).zip(State::ALL) {
        let notice = Notice::new(state, processor)
            .with_failure(Status::CANCELLED, Some(Errno::EBUSY))
            .at_epoch(Epoch(u64::MAX - 1));
        let flags = serial % 2 == 0;
        let notice = if flags { notice.as_surprise() } else { notice.as_replay() };
        let posted = Call {
            serial,
            agent: !0,
            party: PartyId(u64::MAX),
            notice,
            after: u64::MAX,
            alone: flags,
            chained: !flags,
        };
        let entry = partition.post(&posted).unwrap();
        let (taken, read) = take(&mut agent);
        assert_eq!(read, posted);
        assert_eq!((entry.serial(), taken.serial()), (serial, serial));
    }
    assert!(agent.next().is_none());
}

#[test]
fn a_wait_ends_with_the_agreement() {
    let (partition, mut agent) = board();
    let entry = partition.post(&call(1)).unwrap();
    assert_eq!(outcome(&partition, entry), Outcome::Late);
    let (taken, _) = take(&mut agent);
    agent.agree(taken);
    assert_eq!(outcome(&partition, entry), Outcome::Agreed, "an answer that was there before");
    let entry = partition.post(&call(2)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            let (taken, _) = take(&mut agent);
            agent.agree(taken);
        });
        let outcome = partition.wait(entry, Instant::now() + PATIENCE, || None::<()>);
        assert_eq!(outcome, Outcome::Agreed, "an answer that comes while it sleeps");
    });
}

#[test]
fn l3_a_wait_ends_at_the_deadline() {
    let (partition, _agent) = board();
    let entry = partition.post(&call(1)).unwrap();
    let began = Instant::now();
    let limit = Duration::from_millis(250);
    assert_eq!(partition.wait(entry, began + limit, || None::<()>), Outcome::Late);
    assert!(began.elapsed() >= limit);
}

#[test]
fn a_refusal_ends_a_wait_and_wins_over_an_agreement() {
    let (partition, mut agent) = board();
    let refusal = Mutex::new(None);
    let reason = || *refusal.lock().unwrap();
    let entry = partition.post(&call(1)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            *refusal.lock().unwrap() = Some(Status::NO_MEMORY);
            partition.interrupt(entry);
        });
        let outcome = partition.wait(entry, Instant::now() + PATIENCE, reason);
        assert_eq!(outcome, Outcome::Interrupted(Status::NO_MEMORY));
    });
    let (taken, _) = take(&mut agent);
    agent.agree(taken);
    let outcome = partition.wait(entry, Instant::now() + PATIENCE, reason);
    assert_eq!(outcome, Outcome::Interrupted(Status::NO_MEMORY), "the agreement came too late");
}

#[test]
fn a_call_that_is_skipped_is_not_agreed_to_whatever_interrupts_follow() {
    let (partition, mut agent) = board();
    let entry = partition.post(&call(1)).unwrap();
    let (taken, _) = take(&mut agent);
    agent.skip(taken);
    assert_eq!(outcome(&partition, entry), Outcome::Late);
    // The agent has answered, and its place is free.
    let mut last = entry;
    for serial in 2..=CALLS + 1 {
        last = partition.post(&call(serial)).unwrap();
        take(&mut agent);
    }
    agent.skip(last);
    // An interrupt of the call that was at this place before comes late.
    partition.interrupt(entry);
    assert_eq!(outcome(&partition, last), Outcome::Late, "it was for another call");
}

#[test]
fn a_full_board_takes_no_call_until_the_next_place_is_free() {
    let (partition, mut agent) = board();
    let entries: Vec<_> = (1..=CALLS).map(|n| partition.post(&call(n)).unwrap()).collect();
    assert_eq!(partition.post(&call(33)), None);
    let taken: Vec<_> = (0..CALLS).map(|_| take(&mut agent).0).collect();
    assert!(agent.next().is_none());
    agent.agree(taken[1]);
    assert_eq!(partition.post(&call(33)), None, "the place that is used next is not free");
    // A place is free after an agreement, after an interrupted one, and after a refusal.
    agent.agree(taken[0]);
    assert_eq!(outcome(&partition, entries[0]), Outcome::Agreed);
    assert!(partition.post(&call(33)).is_some());
    partition.interrupt(entries[1]);
    assert!(partition.post(&call(34)).is_some());
    assert_eq!(partition.post(&call(35)), None);
    partition.interrupt(entries[2]);
    assert_eq!(partition.post(&call(35)), None, "an interrupt is not an answer");
    agent.skip(taken[2]);
    assert!(partition.post(&call(35)).is_some());
    assert_eq!([33, 34, 35], [(); 3].map(|()| take(&mut agent).1.serial));
}

#[test]
fn only_serials_that_an_interrupt_cannot_make_are_posted() {
    let (partition, mut agent) = board();
    for serial in [0, 1 << 31, u32::MAX] {
        assert_eq!(partition.post(&call(serial)), None);
    }
    for serial in (1..=CALLS).chain([(1 << 31) - 1]) {
        partition.post(&call(serial)).unwrap();
        let (taken, _) = take(&mut agent);
        agent.agree(taken);
    }
    assert_eq!(partition.post(&call(2)), None, "the answer to it would be there already");
}

#[test]
fn the_doorbell_is_rung_only_for_an_agent_that_does_not_watch() {
    let (partition, mut agent) = board();
    assert!(!is_readable(agent.doorbell()));
    partition.post(&call(1)).unwrap();
    assert!(is_readable(agent.doorbell()));
    agent.silence();
    assert!(!is_readable(agent.doorbell()));
    partition.post(&call(2)).unwrap();
    assert!(is_readable(agent.doorbell()), "again");
    agent.silence();
    let memory = partition.descriptors()[0];
    rustix::io::pwrite(memory, &1_u32.to_ne_bytes(), hostile::AWAKE_AT).unwrap();
    partition.post(&call(3)).unwrap();
    assert!(!is_readable(agent.doorbell()), "it says that it watches");
    assert_eq!([1, 2, 3], [(); 3].map(|()| take(&mut agent).1.serial));
    rustix::io::pwrite(memory, &0_u32.to_ne_bytes(), hostile::AWAKE_AT).unwrap();
    assert!(!agent.watch(Duration::from_micros(50)));
    partition.post(&call(4)).unwrap();
    assert!(is_readable(agent.doorbell()), "it watches no longer");
    assert!(agent.watch(Duration::from_micros(50)), "what is there needs no watch");
}

#[test]
fn memory_that_can_be_truncated_or_is_no_board_is_not_used() {
    let doorbell = || BoardWriter::create().unwrap().descriptors()[1].try_clone_to_owned().unwrap();
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let unsealed = memfd_create("test", flags).unwrap();
    ftruncate(&unsealed, 4096).unwrap();
    let error = BoardReader::open(unsealed, doorbell()).unwrap_err();
    assert!(matches!(error, BoardError::NotSealed), "{error}");
    let file = tempfile::tempfile().unwrap();
    let error = BoardReader::open(file, doorbell()).unwrap_err();
    assert!(matches!(error, BoardError::NotSealed), "{error}");
    for (length, bytes, says) in [
        (4095, &b""[..], "cannot map"),
        (4096, &b""[..], "does not begin with"),
        (4096, &b"hotaddb\0\x09\0\0\0"[..], "it has version 9"),
    ] {
        let memory = memfd_create("test", flags).unwrap();
        ftruncate(&memory, length).unwrap();
        rustix::io::pwrite(&memory, bytes, 0).unwrap();
        rustix::fs::fcntl_add_seals(&memory, rustix::fs::SealFlags::SHRINK).unwrap();
        let error = BoardReader::open(memory, doorbell()).unwrap_err().to_string();
        assert!(error.contains(says), "{error:?} says {says:?}");
    }
    let partition = BoardWriter::create().unwrap();
    assert!(ftruncate(partition.descriptors()[0], 0).is_err(), "a board cannot be truncated");
    assert!(ftruncate(partition.descriptors()[0], 8192).is_err(), "or made longer");
}
