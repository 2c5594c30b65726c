//! Sockets: who may have one where, and that two services never share one.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::Barrier;
use std::thread;

use hotadd::hardware::Simulated;
use hotadd::{Partition, State};
use hotadd_service::{PlaceError, Service, ServiceError};

use common::Served;

fn partition() -> Partition {
    Partition::simulated(&Simulated::new(1, 1).unwrap()).unwrap()
}

#[test]
fn the_folder_and_the_socket_are_for_nobody_else() {
    let served = Served::new(1, 0);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&served.path), 0o600);
    assert_eq!(mode(served.path.parent().unwrap()), 0o700);
}

#[test]
fn a_folder_that_is_open_to_others_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o750)).unwrap();
    let refused = Service::listen(&partition(), "demo", &folder.path().join("demo")).unwrap_err();
    assert!(matches!(refused, ServiceError::Place(PlaceError::Folder { .. })), "{refused}");
    assert!(refused.to_string().contains("must have mode 0700 "));
}

#[test]
fn a_live_name_is_refused_and_a_stale_socket_replaced() {
    let served = Served::new(1, 0);
    let again = Service::listen(&served.partition, "demo", &served.path).unwrap_err();
    assert_eq!(again.to_string(), "a partition named demo is already running");
    // The one that runs is none the worse for it.
    served.peer().ping();
    let other = served.path.with_file_name("other");
    drop(UnixListener::bind(&other).unwrap());
    assert!(other.exists());
    let service = Service::listen(&served.partition, "other", &other).unwrap();
    drop(service);
    assert!(!other.exists());
}

#[test]
fn what_belongs_to_somebody_else_stays() {
    let served = Served::new(1, 0);
    let file = served.path.with_file_name("file");
    fs::write(&file, "precious").unwrap();
    let refused = Service::listen(&served.partition, "file", &file).unwrap_err();
    assert!(matches!(refused, ServiceError::Place(PlaceError::NoSocket(_))), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    // A listener that knows nothing of the lock.
    let foreign = served.path.with_file_name("foreign");
    let _listener = UnixListener::bind(&foreign).unwrap();
    let refused = Service::listen(&served.partition, "foreign", &foreign).unwrap_err();
    assert!(matches!(refused, ServiceError::Place(PlaceError::Running(_))), "{refused}");
    assert!(foreign.exists());
}

#[test]
fn of_many_who_want_one_name_one_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("demo");
    for _ in 0..20 {
        let (start, done) = (Barrier::new(4), Barrier::new(4));
        let served: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let service = Service::listen(&partition(), "demo", &path);
                        done.wait();
                        usize::from(service.is_ok())
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(served, 1);
    }
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn names_that_could_be_paths_are_none() {
    for name in ["", ".", "..", ".hidden", "a/b", "a b", "ä", &"a".repeat(65)] {
        let refused = Service::new(&partition(), name, std::sync::Arc::new(|_| ())).unwrap_err();
        assert!(matches!(refused, ServiceError::Place(PlaceError::BadName(_))), "{name}");
    }
    for name in ["demo", "a.b", "A-1_x"] {
        assert!(hotadd_service::is_name(name));
    }
}

#[test]
fn a_socket_that_is_deleted_is_made_again_and_who_was_connected_stays() {
    let served = Served::new(1, 1);
    let before = served.peer();
    let party = before.register("steady", 0, 0, 1000);
    fs::remove_file(&served.path).unwrap();
    served.logged("was deleted and has been created again");
    let after = served.peer();
    after.ping();
    let mode = fs::metadata(&served.path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "it is as closed as the first one was");
    before.ping();
    // Who had registered before is asked about what somebody adds who came after.
    after.begin("Add", &1_u32);
    before.agrees_to(State::AddStart, party);
}

#[test]
fn a_folder_that_is_deleted_with_all_in_it_is_made_again() {
    let served = Served::new(1, 0);
    let folder = served.path.parent().unwrap();
    fs::remove_dir_all(folder).unwrap();
    served.logged("was deleted and has been created again");
    served.peer().ping();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    let again = Service::listen(&served.partition, "demo", &served.path).unwrap_err();
    assert!(again.to_string().contains("already running"), "it has its lock again: {again}");
    let served = served.end_service();
    assert!(!served.path.exists(), "it is cleaned up as the first one would have been");
}

#[test]
fn who_has_taken_a_deleted_place_keeps_it() {
    let served = Served::new(1, 0);
    let folder = served.path.parent().unwrap();
    fs::remove_dir_all(folder).unwrap();
    // It may have been quicker, and then the place is its own again.
    let Ok(other) = Service::listen(&partition(), "demo", &served.path) else {
        return served.logged("was deleted and has been created again");
    };
    served.logged("cannot be created again: a partition named demo is already running");
    let served = served.end_service();
    served.peer().ping();
    assert!(served.path.with_extension("lock").exists(), "nor is its lock taken from it");
    drop(other);
    assert!(!served.path.exists());
}

#[test]
fn what_cannot_be_made_again_is_said_once_and_made_when_it_can() {
    let served = Served::new(1, 0);
    fs::remove_file(&served.path).unwrap();
    // Something else may have its path for a while; unless the socket was quicker, which is as well.
    if fs::create_dir(&served.path).is_err() {
        return served.logged("was deleted and has been created again");
    }
    let said = served.said("cannot be created again");
    assert!(said.contains("already exists and is not a socket; retrying each second"), "{said}");
    fs::remove_dir(&served.path).unwrap();
    served.logged("was deleted and has been created again");
    served.peer().ping();
}

#[test]
fn a_service_that_is_gone_leaves_no_observer_behind() {
    let partition = partition();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("demo");
    for _ in 0..10 {
        let service = Service::listen(&partition, "demo", &path).unwrap();
        assert_eq!(partition.observers(), Ok(1), "it hears what it signals");
        drop(service);
    }
    assert_eq!(partition.observers(), Ok(0), "and each has gone with its service");
}
