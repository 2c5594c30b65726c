//! Why processors are absent: every client can ask, however long ago the refusal was and whatever has happened since.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use hotadd::{
    Errno, HardwareId, MAX_PROCESSORS, Notice, Partition, Registration, State, Status, Veto,
};
use hotadd_service::Service;
use hotadd_wire::MAX_MESSAGE;

use crate::common::endless::Endless;
use crate::common::{Peer, Served};

/// Id, party, status, errno, clause, reason, time.
type Absence = (u32, String, u32, u32, String, String, u64);

/// The content of one answer, from this id on.
fn page(peer: &Peer, first: u32) -> Vec<Absence> {
    peer.begin("GetAbsent", &first);
    let answer = peer.answer();
    let bytes = answer.data().len();
    assert!(bytes <= MAX_MESSAGE, "{bytes} bytes are more than a peer takes");
    answer.body().deserialize().unwrap()
}

/// All absences, and the number of answers.
fn all(peer: &Peer) -> (Vec<Absence>, usize) {
    let mut all: Vec<Absence> = Vec::new();
    let mut answers = 0;
    loop {
        let more = page(peer, all.last().map_or(0, |last| last.0 + 1));
        if more.is_empty() {
            assert!(all.is_sorted_by(|a, b| a.0 < b.0), "ascending and unique");
            return (all, answers);
        }
        answers += 1;
        all.extend(more);
    }
}

/// The ids of the absent processors.
fn ids(peer: &Peer) -> Vec<u32> {
    all(peer).0.into_iter().map(|refusal| refusal.0).collect()
}

const NONE: [u32; 0] = [];

/// A party that refuses every processor from this id on.
fn refuses_from(partition: &Partition, first: u32, reason: String) -> Registration {
    let driver = move |notice: &Notice| match notice.state() {
        State::AddStart if notice.processor().id.0 >= first => {
            Err(Veto::new(Status::INSUFFICIENT_RESOURCES, reason.clone()))
        }
        _ => Ok(()),
    };
    partition.register("pool", driver).unwrap()
}

#[test]
fn a11_an_absence_has_party_status_clause_reason_and_time() {
    let served = Served::new(1, 3);
    let peer = served.peer();
    assert_eq!(page(&peer, 0), [], "no add was refused yet");
    let millis = || u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let before = millis();
    let pool = refuses_from(&served.partition, 2, "no room".to_owned());
    served.hardware.fail_start(HardwareId(1), Errno::EIO);
    for id in 1..=2 {
        served.partition.add(HardwareId(id)).unwrap_err();
    }
    drop(pool);
    let told = page(&peer, 0);
    let after = millis();
    let [failed, refused] = &told[..] else { panic!("two were kept out: {told:?}") };
    let status = Status::INSUFFICIENT_RESOURCES.to_raw();
    assert_eq!(
        (refused.0, &*refused.1, refused.2, refused.3, &*refused.4, &*refused.5),
        (2, "pool", status, 0, "A3", "no room"),
        "a party that has deregistered is still named"
    );
    let status = Status::from_errno(Errno::EIO).to_raw();
    assert_eq!((failed.0, &*failed.1, failed.2, failed.3, &*failed.4), (1, "", status, 5, "A4"));
    assert!(failed.5.contains("the platform failed to add it"), "{}", failed.5);
    for refusal in &told {
        assert!((before..=after).contains(&refusal.6), "the time of the refusal: {refusal:?}");
    }
    assert_eq!(page(&peer, 2), std::slice::from_ref(refused), "from the requested id on");
    assert_eq!(page(&peer, u32::MAX), []);

    // The latest refusal replaces the earlier one.
    served.hardware.fail_start(HardwareId(2), Errno::EIO);
    served.partition.add(HardwareId(2)).unwrap_err();
    assert_eq!((&*page(&peer, 2)[0].1, &*page(&peer, 2)[0].4), ("", "A4"));
}

#[test]
fn an_absence_is_forgotten_when_the_processor_joins_in_any_way() {
    let served = Served::new(1, 4);
    let peer = served.peer();
    let pool = refuses_from(&served.partition, 1, "no room".to_owned());
    for id in 1..=4 {
        served.partition.add(HardwareId(id)).unwrap_err();
    }
    drop(pool);
    assert_eq!(ids(&peer), [1, 2, 3, 4]);
    served.partition.add(HardwareId(1)).unwrap();
    assert_eq!(ids(&peer), [2, 3, 4], "forgotten when it joins with agreement");
    served.hardware.intrude(HardwareId(2));
    assert_eq!(ids(&peer), [3, 4], "forgotten when it joins without agreement (Q3)");
    served.partition.remove(HardwareId(1)).unwrap();
    assert_eq!(ids(&peer), [3, 4], "a removed processor is not listed");

    // Unplugging a processor that never joined emits no event.
    served.hardware.unplug(HardwareId(3));
    served.hardware.unplug(HardwareId(4));
    assert_eq!(ids(&peer), [3, 4], "an unplugged processor keeps its refusal");
    served.hardware.plug(HardwareId(3));
    assert_eq!(ids(&peer), [4], "a replugged processor is new and not listed");
    served.partition.add(HardwareId(4)).unwrap_err();
    assert_eq!(ids(&peer), NONE, "a processor that does not exist is not listed");
}

#[test]
fn x2_a_vanished_processor_is_listed_until_it_joins_or_is_replugged() {
    let served = Served::new(3, 1);
    let peer = served.peer();
    for id in [1, 2] {
        served.hardware.unplug(HardwareId(id));
    }
    let told = page(&peer, 0);
    let said = |row: &Absence| (row.0, row.1.clone(), row.2, row.3, row.4.clone());
    let gone = |id| (id, String::new(), Status::SUCCESS.to_raw(), 0, "X2".to_owned());
    assert_eq!(told.iter().map(said).collect::<Vec<_>>(), [gone(1), gone(2)]);
    served.partition.add(HardwareId(1)).unwrap_err();
    assert_eq!(ids(&peer), [1, 2], "a failed add does not hide that it vanished");
    served.hardware.plug(HardwareId(1));
    assert_eq!(ids(&peer), [2], "X3: a processor that came back is not listed");
    served.partition.remove(HardwareId(1)).unwrap_err();

    let pool = refuses_from(&served.partition, 1, "no room".to_owned());
    served.partition.add(HardwareId(1)).unwrap_err();
    assert_eq!(&*page(&peer, 0)[0].4, "A3", "the latest refusal is listed");
    drop(pool);
    served.partition.add(HardwareId(1)).unwrap();
    assert_eq!(ids(&peer), [2]);
}

#[test]
fn events_that_keep_no_processor_out_are_not_listed() {
    let served = Served::new(2, 1);
    let peer = served.peer();
    let add = |id| served.partition.add(HardwareId(id)).unwrap_err();
    add(1);
    add(77);
    assert_eq!(ids(&peer), NONE, "active and unknown processors are not listed");
    let no = |_: &Notice| Err(Veto::from("no"));
    served.partition.register("late", no).unwrap_err();
    assert_eq!(ids(&peer), NONE, "R4: a refused registration keeps no processor out");
    let _pool = refuses_from(&served.partition, 2, "no room".to_owned());
    served.partition.rehearse(HardwareId(2)).unwrap();
    served.partition.remove(HardwareId(2)).unwrap_err();
    assert_eq!(ids(&peer), NONE, "A10: a rehearsal or a failed removal keeps no processor out");
    add(2);
    let twice = vec![2_u32, 2];
    peer.begin("AddBatch", &(twice, true));
    peer.answer();
    let told = page(&peer, 0);
    assert_eq!((told.len(), &*told[0].1), (1, "pool"), "a malformed request changes nothing");
}

#[test]
fn every_absence_is_listed_even_if_the_history_has_lost_it() {
    const SPARE: u32 = MAX_PROCESSORS - 1;
    let served = Served::new(1, SPARE);
    let _pool = refuses_from(&served.partition, 1, "ü".repeat(5000));
    for id in 1..=SPARE {
        served.partition.add(HardwareId(id)).unwrap_err();
        served.drop_events();
    }
    let peer = served.peer();
    let lines: Vec<String> = peer.call("GetHistory", &u32::MAX).unwrap();
    assert!(lines.len() < SPARE as usize, "the history is too short for them: {}", lines.len());
    let (told, answers) = all(&peer);
    assert!(told.iter().map(|refusal| refusal.0).eq(1..=SPARE), "every refusal");
    let all_there = |text: &str| text.trim_end_matches('…').len() == 512;
    assert!(told.iter().all(|refusal| all_there(&refusal.5)), "each with a reason of 512 bytes");
    assert!(told.iter().all(|refusal| refusal.1 == "pool"), "each with its party");
    assert!((8..=16).contains(&answers), "{answers} answers for 1.2 MB, of 128 KiB each");
}

#[test]
fn the_number_of_absences_is_limited_to_the_possible_processors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("demo");
    let partition = Partition::from_hardware(Arc::<Endless>::default()).unwrap();
    let _service = Service::listen(&partition, "demo", &path).unwrap();
    let peer = Peer::connect(UnixStream::connect(&path).unwrap());
    let add = |id| partition.add(HardwareId(id)).unwrap_err();
    add(1);
    assert_eq!(
        page(&peer, 0)[0].5,
        "not this one",
        "A8: a processor that is not admitted is listed too"
    );
    // As many as are possible, and then more that no party was asked about (A8).
    let most = MAX_PROCESSORS as usize;
    let tried: Vec<u32> = (1..=MAX_PROCESSORS).map(|nth| 2 * nth).collect();
    for id in &tried {
        add(*id);
    }
    for id in (1..=199).step_by(2) {
        add(id);
    }
    assert!(ids(&peer) == tried, "a refusal without an attempt replaces no other");
    // One that is recorded already, and two that are not.
    for id in [2, 10_000, 10_002] {
        add(id);
    }
    let kept = ids(&peer);
    assert_eq!(kept.len(), most, "one entry per possible processor is kept");
    assert_eq!(kept[..2], [2, 8], "the oldest entries were replaced");
    assert_eq!(kept[most - 2..], [10_000, 10_002]);
}
