//! Connections that break, and partitions that come back.

use hotadd::{Driver, Error, HardwareId, Notice, Partition, Removal, State, Status, Veto};
use hotadd_wire as wire;

use crate::fake::{FIRST, Fake, Log, Place, SECOND, at, both, flags, pair, set};

/// A listening partition, one driver registered with it as party 7, and an add that the driver has agreed to.
fn in_the_middle_of_an_add()
-> (Place, std::os::unix::net::UnixListener, Fake, Partition, Log, hotadd::Registration) {
    let place = Place::new();
    let listener = place.listen();
    let (mut fake, partition) = both(
        || Fake::accept(&listener, set(1, 1, false)),
        || Partition::connect(&place.0).unwrap(),
    );
    let log = Log::default();
    let (_, registration) =
        both(|| fake.admit(FIRST, 7), || partition.register("p", log.driver("d")));
    fake.set = set(1, 1, true);
    fake.tell(FIRST, 7, State::AddStart, 1).unwrap();
    log.take();
    (place, listener, fake, partition, log, registration.unwrap())
}

/// Waits until everything that was sent before has been processed.
fn settle(fake: &mut Fake) {
    let call = fake.call(FIRST, "Nonsense", &());
    fake.answer(&call).unwrap_err();
}

#[test]
fn a_prepared_processor_that_joined_meanwhile_is_completed_once() {
    let (_place, listener, fake, partition, log, registration) = in_the_middle_of_an_add();
    drop(fake);
    let mut fake = Fake::accept(&listener, set(2, 2, false));
    fake.admit(FIRST, 9);
    settle(&mut fake);
    assert_eq!(log.take(), "d AddComplete 1");
    assert_eq!((partition.count(), registration.party().id.0), (2, 9));
    // A second reconnection has nothing left to tell.
    drop(fake);
    let mut fake = Fake::accept(&listener, set(2, 2, false));
    fake.admit(FIRST, 10);
    settle(&mut fake);
    assert_eq!(log.take(), "");
    assert!(registration.is_registered());
}

#[test]
fn the_client_waits_for_a_partition_without_room_for_a_connection() {
    let place = Place::new();
    let listener = place.listen();
    // Room for one pending connection.
    rustix::net::listen(&listener, 0).unwrap();
    let first = std::os::unix::net::UnixStream::connect(&place.0).unwrap();
    let full = || {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
        let flags = SocketFlags::NONBLOCK;
        let family = AddressFamily::UNIX;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None).unwrap();
        rustix::net::connect(&socket, &SocketAddrUnix::new(&place.0).unwrap())
    };
    assert_eq!(full(), Err(rustix::io::Errno::AGAIN), "there is no room, or nothing is tried");
    let accept = || {
        drop((listener.accept().unwrap(), first));
        Fake::accept(&listener, set(1, 1, false))
    };
    let (_fake, partition) = both(accept, || Partition::connect(&place.0).unwrap());
    assert_eq!(partition.count(), 1);
}

#[test]
fn a_prepared_processor_that_did_not_join_fails_once_also_with_a_new_partition() {
    let (place, listener, fake, partition, log, _registration) = in_the_middle_of_an_add();
    drop((fake, listener));
    // For a while nothing listens; then a new partition does, which begins at epoch 1 again.
    assert_eq!(partition.add(HardwareId(5)).unwrap_err(), Error::Disconnected);
    let listener = place.listen();
    let mut fake = Fake::accept(&listener, set(1, 1, false));
    fake.admit(FIRST, 1);
    settle(&mut fake);
    assert_eq!(log.take(), "d AddFailure 1 reset");
    assert!(partition.is_connected());
    assert_eq!(partition.epoch().0, 1);
}

#[test]
fn a_pending_request_fails_when_the_connection_is_lost() {
    let (mut fake, partition) = pair(1);
    let (_, error) = both(
        move || {
            fake.request("Add");
            drop(fake);
        },
        || partition.add(HardwareId(1)).unwrap_err(),
    );
    assert_eq!((error.status(), error.clause()), (Status::CONNECTION_RESET, "L3"));
}

#[test]
fn a_client_over_a_given_socket_does_not_reconnect_and_settles_everything_open() {
    let (mut fake, partition) = pair(1);
    let log = Log::default();
    let (_, registration) =
        both(|| fake.admit(FIRST, 7), || partition.register("p", log.driver("d")));
    let registration = registration.unwrap();
    fake.set = set(1, 1, true);
    fake.tell(FIRST, 7, State::AddStart, 1).unwrap();
    log.take();
    drop(fake);
    // Refused once the loss has been noticed.
    let error = partition.register("q", |_: &Notice| Ok(())).unwrap_err();
    assert_eq!(error, Error::Disconnected);
    assert_eq!(log.take(), "d AddFailure 1 reset");
    assert!(!registration.is_registered());
    assert_eq!(registration.deregister().unwrap_err().clause(), "D2");
}

#[test]
fn a_driver_refused_at_reconnection_tries_again_without_delaying_others() {
    let (_place, listener, mut fake, partition, log, first) = in_the_middle_of_an_add();
    fake.set = set(1, 1, false);
    let (_, second) = both(|| fake.admit(SECOND, 8), || partition.register("q", log.driver("e")));
    log.take();
    drop(fake);
    let mut fake = Fake::accept(&listener, set(1, 1, false));
    let request = fake.request("Register");
    fake.refuse(&request, "Limit", &("not now".into(), 0, 0, 0, String::new()));
    fake.admit(SECOND, 1);
    fake.admit(FIRST, 2);
    settle(&mut fake);
    assert_eq!(log.take(), "d AddFailure 1 reset");
    assert_eq!(first.party().id.0, 2);
    drop(fake);
    drop((first, second));
}

#[test]
fn a_driver_without_a_replay_is_settled_by_a_replay_to_its_agent() {
    let place = Place::new();
    let listener = place.listen();
    let (mut fake, partition) = both(
        || Fake::accept(&listener, set(1, 1, false)),
        || Partition::connect(&place.0).unwrap(),
    );
    /// A driver that hears removals too.
    struct Hears(Log);
    impl Driver for Hears {
        fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
            unreachable!("everything comes by notify")
        }
        fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
            self.0.write(format!("{} {}", notice.state(), notice.processor().id));
            Ok(())
        }
        fn removal(&mut self) -> Option<&mut dyn Removal> {
            Some(self)
        }
    }
    impl Removal for Hears {
        fn remove_start(&mut self, _: &Notice) -> Result<(), Veto> {
            unreachable!("everything comes by notify")
        }
    }
    let log = Log::default();
    let without_a_replay = |fake: &mut Fake, party: u64| {
        let request = fake.request("Register");
        assert_eq!(flags(&request) & wire::LATER_ONLY, wire::LATER_ONLY);
        fake.reply(&request, &(party, fake.set.epoch().0));
    };
    let (_, registration) = both(
        || without_a_replay(&mut fake, 1),
        || partition.registration("p").without_replay().register(Hears(log.clone())),
    );
    // As long as its driver holds nothing, the agent asks for no replay.
    drop(fake);
    let mut fake = Fake::accept(&listener, set(1, 1, false));
    without_a_replay(&mut fake, 2);
    fake.set = set(1, 1, true);
    fake.tell(FIRST, 2, State::AddStart, 1).unwrap();
    drop(fake);
    let mut fake = Fake::accept(&listener, set(2, 2, false));
    assert_eq!(fake.admit(FIRST, 3) & wire::LATER_ONLY, 0);
    settle(&mut fake);
    assert_eq!(log.take(), "AddStart 1, AddComplete 1", "and nothing of 0");
    let gone = |which| Notice::new(State::RemoveComplete, at(which)).as_surprise();
    for which in [1, 0] {
        let call = fake.notice(FIRST, 3, &gone(which));
        assert_eq!(fake.answer(&call), Ok(()));
    }
    assert_eq!(log.take(), "RemoveComplete 1", "and nothing of 0");
    drop(fake);
    drop(registration);
}
