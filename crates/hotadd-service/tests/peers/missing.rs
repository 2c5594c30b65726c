//! L4 over the wire: missing parties, the outcome of an add without them, and restarting a party.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hotadd::{Error, HardwareId, Notice, Status};
use hotadd_service::{NotRegistered, NotRestarted};

use crate::common::Served;

const NOT_STARTED: &str = "org.hotadd.Error.NotStarted";

fn agree(_: &Notice) -> Result<(), hotadd::Veto> {
    Ok(())
}

#[test]
fn l4_another_process_can_read_missing_parties_with_time_and_reason() {
    let served = Served::new(1, 2);
    let there = hotadd::Partition::connect(&served.path).unwrap();
    assert_eq!(there.missing().unwrap(), [], "no party is missing");
    let required = served.partition.require("ready").unwrap();
    required.is_missing(Status::IO_TIMEOUT, "no answer in 5 s");
    let here = served.partition.missing().unwrap();
    let [heard] = &there.missing().unwrap()[..] else { panic!("one is missing") };
    assert_eq!((&heard.party, heard.status), (&here[0].party, Status::IO_TIMEOUT));
    assert_eq!(heard.reason, "no answer in 5 s");
    let apart = here[0].since.duration_since(heard.since).unwrap();
    assert!(apart < Duration::from_micros(1), "to the microsecond");

    let [ours, theirs] = [&served.partition, &there].map(|p| p.add(HardwareId(1)).unwrap_err());
    assert!(matches!(theirs, Error::Missing { .. }), "{theirs:?}");
    let says = "ready is missing, and processor 1 is not added without it: no answer in 5 s";
    assert_eq!([ours.to_string(), theirs.to_string()], [says, says]);
    assert_eq!((theirs.status(), theirs.clause()), (Status::IO_TIMEOUT, "L4"));
    assert_eq!(theirs.party().map(|party| party.name.as_str()), Some("ready"));
    let batch = there.add_batch(&[HardwareId(1), HardwareId(2)], hotadd::Batch::Each);
    assert!(
        batch.iter().all(|(_, result)| matches!(result, Err(Error::Missing { .. }))),
        "{batch:?}"
    );

    let attempt = required.attempt();
    let _ready =
        served.partition.registration("ready").required(&required).register(agree).unwrap();
    attempt.succeeded();
    assert_eq!(there.missing().unwrap(), []);
    there.add(HardwareId(1)).unwrap();
}

#[test]
fn l4_the_list_of_missing_parties_is_bounded_and_has_no_line_breaks() {
    let served = Served::new(1, 1);
    let many: Vec<_> =
        (0..1000).map(|n| served.partition.require(&format!("party{n}")).unwrap()).collect();
    many.iter().for_each(|party| party.is_missing(Status::UNSUCCESSFUL, "x\n".repeat(10_000)));
    let peer = served.peer();
    let missing: Vec<(String, u64, u32, String)> = peer.call("GetMissing", &()).unwrap();
    assert!((100..1000).contains(&missing.len()), "as many as fit: {}", missing.len());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    for (nth, (name, since, status, reason)) in missing.iter().enumerate() {
        assert_eq!(*name, format!("party{nth}"), "in the order of naming");
        assert!(reason.len() <= 515 && !reason.contains('\n'), "{reason:?}");
        assert!(u128::from(*since) <= now.as_micros() && *status == 0xC000_0001);
    }
}

#[test]
fn l4_a_client_can_restart_a_party_and_gets_the_result() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let failure = peer.call::<_, ()>("RestartParty", &"ready").unwrap_err();
    assert_eq!(failure.name, NOT_STARTED, "this service cannot start parties");
    assert!(failure.message.starts_with("ready is not a party of the configuration"));

    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&asked);
    served.service().restart_by(Arc::new(move |name: &str| {
        heard.lock().unwrap().push(name.to_owned());
        match name {
            "ready" => Ok(()),
            "late" => {
                let why = "late did not register: no\nroom".to_owned();
                Err(NotRestarted::Failed(NotRegistered::new(name, Status::IO_TIMEOUT, why)))
            }
            _ => Err(NotRestarted::Unknown),
        }
    }));
    peer.call::<_, ()>("RestartParty", &"ready").unwrap();
    let failure = peer.call::<_, ()>("RestartParty", &"late").unwrap_err();
    let says = "late is not registered: it did not register: no room";
    assert_eq!((&*failure.name, &*failure.message), (NOT_STARTED, says));
    let failure = peer.call::<_, ()>("RestartParty", &"x\n".repeat(20_000)).unwrap_err();
    assert!(
        failure.message.len() < 1000 && !failure.message.contains('\n'),
        "the text is bounded and clean"
    );
    assert_eq!(asked.lock().unwrap()[..2], ["ready", "late"]);
}
