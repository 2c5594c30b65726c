//! Sockets: where they may be created, with which modes, and that two services never share one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::Barrier;
use std::thread;

use hotadd::hardware::Simulated;
use hotadd::{Partition, State};
use hotadd_service::{PlaceError, Service, ServiceError};

use crate::common::Served;

fn partition() -> Partition {
    Partition::simulated(&Simulated::new(1, 1).unwrap()).unwrap()
}

#[test]
fn the_folder_and_the_socket_are_private_to_their_user() {
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
fn a_name_in_use_is_refused_and_a_stale_socket_replaced() {
    let served = Served::new(1, 0);
    let again = Service::listen(&served.partition, "demo", &served.path).unwrap_err();
    assert_eq!(again.to_string(), "a partition named demo is already running");
    // The running service is not affected.
    served.peer().ping();
    let other = served.path.with_file_name("other");
    drop(UnixListener::bind(&other).unwrap());
    assert!(other.exists());
    let service = Service::listen(&served.partition, "other", &other).unwrap();
    drop(service);
    assert!(!other.exists());
}

#[test]
fn files_and_sockets_of_other_programs_are_kept() {
    let served = Served::new(1, 0);
    let file = served.path.with_file_name("file");
    fs::write(&file, "precious").unwrap();
    let refused = Service::listen(&served.partition, "file", &file).unwrap_err();
    assert!(matches!(refused, ServiceError::Place(PlaceError::NoSocket(_))), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    // A listener that does not know the lock.
    let foreign = served.path.with_file_name("foreign");
    let _listener = UnixListener::bind(&foreign).unwrap();
    let refused = Service::listen(&served.partition, "foreign", &foreign).unwrap_err();
    assert!(matches!(refused, ServiceError::Place(PlaceError::Running(_))), "{refused}");
    assert!(foreign.exists());
}

#[test]
fn only_one_of_many_services_gets_a_name() {
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
fn names_that_could_be_paths_are_refused() {
    for name in ["", ".", "..", ".hidden", "a/b", "a b", "ä", &"a".repeat(65)] {
        let refused = Service::new(&partition(), name, std::sync::Arc::new(|_| ())).unwrap_err();
        assert!(matches!(refused, ServiceError::Place(PlaceError::BadName(_))), "{name}");
    }
    for name in ["demo", "a.b", "A-1_x"] {
        assert!(hotadd_service::is_name(name));
    }
}

#[test]
fn a_deleted_socket_is_made_again_and_connections_stay() {
    let served = Served::new(1, 1);
    let before = served.peer();
    let party = before.register("steady", 0, 0, 1000);
    fs::remove_file(&served.path).unwrap();
    served.logged("was deleted and has been created again");
    let after = served.peer();
    after.ping();
    let mode = fs::metadata(&served.path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "the new socket has the same mode");
    before.ping();
    // A party that registered before is asked about an add of a client that connected later.
    after.begin("Add", &1_u32);
    before.agrees_to(State::AddStart, party);
}

#[test]
fn a_deleted_folder_is_made_again_with_its_socket_and_lock() {
    let served = Served::new(1, 0);
    let folder = served.path.parent().unwrap();
    fs::remove_dir_all(folder).unwrap();
    served.logged("was deleted and has been created again");
    served.peer().ping();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    let again = Service::listen(&served.partition, "demo", &served.path).unwrap_err();
    assert!(again.to_string().contains("already running"), "the lock was made again: {again}");
    let served = served.end_service();
    assert!(!served.path.exists(), "the new socket is removed at the end");
}

#[test]
fn another_service_keeps_a_deleted_place_that_it_has_taken() {
    let served = Served::new(1, 0);
    let folder = served.path.parent().unwrap();
    fs::remove_dir_all(folder).unwrap();
    // The service may be faster and have its place again.
    let Ok(other) = Service::listen(&partition(), "demo", &served.path) else {
        return served.logged("was deleted and has been created again");
    };
    served.logged("cannot be created again: a partition named demo is already running");
    let served = served.end_service();
    served.peer().ping();
    assert!(served.path.with_extension("lock").exists(), "its lock is kept too");
    drop(other);
    assert!(!served.path.exists());
}

#[test]
fn a_socket_that_cannot_be_made_again_is_reported_once_and_retried() {
    let served = Served::new(1, 0);
    fs::remove_file(&served.path).unwrap();
    // A folder takes the path, unless the service was faster, which is fine.
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
fn a_service_that_has_ended_leaves_no_observer_behind() {
    let partition = partition();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("demo");
    for _ in 0..10 {
        let service = Service::listen(&partition, "demo", &path).unwrap();
        assert_eq!(partition.observers(), Ok(1), "the service observes the partition");
        drop(service);
    }
    assert_eq!(partition.observers(), Ok(0), "each observer ended with its service");
}
