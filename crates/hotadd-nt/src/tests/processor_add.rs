//! `\Callback\ProcessorAdd`: the functions registered with it are asked and told one by one, and each may refuse.

use std::sync::Mutex;

use hotadd::HardwareId;

use crate::ground::abi::Abi;
use crate::ground::world;
use crate::tests::changes::{COMPLETE, FAILURE, Listener, START};
use crate::tests::threads::open;
use crate::tests::{BOTH, RUNNING, alone, call, routine, scene};

const NAME: &str = "\\Callback\\ProcessorAdd";
/// A warning, which is a veto too (A3).
const DEVICE_BUSY: u32 = 0x8000_0011;
const CANCELLED: u32 = 0xC000_0120;
/// A processor that these tests rehearse or that is refused, and that never joins.
const NEVER: HardwareId = HardwareId(RUNNING + 20);

/// The system's callback object, until it is dropped.
struct Object(Abi, usize);

impl Object {
    fn open(abi: Abi) -> Self {
        let (status, object) = open(abi, NAME, 0, 1);
        assert_eq!(status, 0, "the callback object exists");
        Self(abi, object)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        call!(self.0, ObfDereferenceObject(self.1 => usize) -> isize);
    }
}

/// The calls, in order: which function, which state and which status.
#[derive(Default)]
struct Log(Mutex<Vec<(char, u32, u32)>>);

impl Log {
    fn push(&self, who: char, state: u32, status: u32) {
        self.0.lock().unwrap().push((who, state, status));
    }

    fn take(&self) -> Vec<(char, u32, u32)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// The ids that these tests add, each once.
fn id(abi: Abi, base: u32) -> HardwareId {
    HardwareId(RUNNING + base + u32::from(abi == Abi::SysV))
}

#[test]
fn a5_a_function_is_told_add_start_and_add_complete_with_the_change() {
    scene();
    let _alone = alone();
    for abi in BOTH {
        let (object, seen) = (Object::open(abi), Mutex::new(Vec::new()));
        let listener = Listener::with(abi, object.1, |change| {
            let count = call!(abi, KeQueryActiveProcessorCountEx(0xffff => u16) -> u32);
            seen.lock().unwrap().push((change, count));
            None
        });
        let joined = world::get().partition.add(id(abi, 24)).unwrap().processor;
        drop(listener);
        let seen = seen.into_inner().unwrap();
        let (index, number) = (joined.index.get(), joined.index.number().into());
        let states = seen.iter().map(|(change, _)| change.state);
        assert_eq!(states.collect::<Vec<_>>(), [START, COMPLETE]);
        for (change, count) in seen {
            assert_eq!((change.index, change.number), (index, number), "A5: index and number");
            assert_eq!(change.status, 0, "nothing has failed");
            assert_eq!(count, index + change.state, "A5: AddComplete counts it, AddStart does not");
        }
    }
}

#[test]
fn a3_a_warning_is_a_veto_earlier_functions_are_told_and_later_ones_not_called() {
    scene();
    let _alone = alone();
    for abi in BOTH {
        let (object, log) = (Object::open(abi), Log::default());
        let calls = |who: char, answer: Option<u32>| {
            let log = &log;
            Listener::with(abi, object.1, move |change| {
                log.push(who, change.state, change.status);
                answer.filter(|_| change.state == START)
            })
        };
        // Old drivers write success on every call. That must not override another's veto (A7).
        let parties = [
            calls('a', Some(0)),
            calls('b', None),
            calls('c', Some(DEVICE_BUSY)),
            calls('d', Some(0)),
        ];
        let error = world::get().partition.add(NEVER).unwrap_err();
        assert!(matches!(error, hotadd::Error::Vetoed { .. }), "A3: a warning is a veto: {error}");
        assert_eq!(error.status().to_raw(), DEVICE_BUSY, "with the status of the veto");
        drop(parties);
        assert_eq!(
            log.take(),
            [
                ('a', START, 0),
                ('b', START, 0),
                ('c', START, 0),
                ('b', FAILURE, DEVICE_BUSY),
                ('a', FAILURE, DEVICE_BUSY),
            ]
        );
    }
}

#[test]
fn x4_a_function_registered_between_add_start_and_the_outcome_is_not_told_the_outcome() {
    scene();
    let _alone = alone();
    for abi in BOTH {
        let (object, log, late) = (Object::open(abi), Log::default(), Mutex::new(0));
        let listener = Listener::with(abi, object.1, |change| {
            log.push('a', change.state, change.status);
            if change.state == START {
                // On another thread, because registering inside a callback is refused (D3).
                let register = || {
                    call!(abi, ExRegisterCallback(
                        object.1 => usize, never(abi) => usize, 0 => usize,
                    ) -> usize)
                };
                let handle = std::thread::scope(|scope| scope.spawn(register).join().unwrap());
                assert_ne!(handle, 0, "it is registered");
                *late.lock().unwrap() = handle;
            }
            None
        });
        world::get().partition.rehearse(NEVER).unwrap();
        call!(abi, ExUnregisterCallback(*late.lock().unwrap() => usize));
        drop(listener);
        assert_eq!(log.take(), [('a', START, 0), ('a', FAILURE, CANCELLED)]);
    }
}

/// Waits until this thread of the process sleeps in the kernel, or has ended. It sleeps only inside of the call that the
/// test is about, and no API shows that a call has begun to wait.
fn until_asleep(thread: i32) {
    let began = std::time::Instant::now();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
        let is_running = stat.is_ok_and(|stat| !stat.contains(") S "));
        if !is_running {
            return;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "thread {thread} runs on");
        std::thread::yield_now();
    }
}

#[test]
fn d1_unregistering_waits_for_the_call_that_runs() {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    scene();
    let _alone = alone();
    for abi in BOTH {
        let (object, returned) = (Object::open(abi), AtomicBool::new(false));
        let ((begin, begun), (unregister, unregisters)) = (channel(), channel());
        let (begin, unregisters) = (Mutex::new(begin), Mutex::new(unregisters));
        let slow = Listener::with(abi, object.1, |change| {
            if change.state == START {
                begin.lock().unwrap().send(()).unwrap();
                until_asleep(unregisters.lock().unwrap().recv().unwrap());
                returned.store(true, Ordering::SeqCst);
            }
            None
        });
        let handle = slow.handle();
        let stays = Listener::with(abi, object.1, |_| None);
        let returned = &returned;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                begun.recv().unwrap();
                unregister.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
                call!(abi, ExUnregisterCallback(handle => usize));
                let returned = returned.load(Ordering::SeqCst);
                assert!(returned, "the call has returned when unregistering returns");
            });
            world::get().partition.rehearse(NEVER).unwrap();
        });
        slow.forget();
        drop(stays);
    }
}

#[test]
fn a6_a_status_left_after_add_start_changes_nothing_and_is_reported() {
    let scene = scene();
    let _alone = alone();
    for abi in BOTH {
        let (object, breaches) = (Object::open(abi), std::sync::Arc::new(Mutex::new(Vec::new())));
        let record = std::sync::Arc::clone(&breaches);
        let observation = world::get().partition.observe(move |event| {
            if event.kind == hotadd::EventKind::Breach {
                record.lock().unwrap().push(event.clause);
            }
        });
        let late = || {
            Listener::with(abi, object.1, |change| (change.state != START).then_some(DEVICE_BUSY))
        };
        let listeners = [late(), late()];
        world::get().partition.add(id(abi, 26)).unwrap();
        world::get().partition.rehearse(NEVER).unwrap();
        drop((listeners, observation));
        let breaches = breaches.lock().unwrap();
        assert_eq!(*breaches, [Some("A6"), Some("A6")], "one of AddComplete and one of AddFailure");
        let others = scene.breaches("ProcessorAdd: a function");
        assert_eq!(others.len(), 2, "each function's breach is reported: {others:?}");
    }
}

#[test]
fn d3_a_function_that_unregisters_itself_is_not_called_again() {
    scene();
    let _alone = alone();
    for abi in BOTH {
        let (object, log, handle) = (Object::open(abi), Log::default(), Mutex::new(0));
        let itself = Listener::with(abi, object.1, |change| {
            log.push('a', change.state, change.status);
            call!(abi, ExUnregisterCallback(*handle.lock().unwrap() => usize));
            None
        });
        let stays = Listener::with(abi, object.1, |change| {
            log.push('b', change.state, change.status);
            None
        });
        *handle.lock().unwrap() = itself.handle();
        world::get().partition.rehearse(NEVER).unwrap();
        world::get().partition.rehearse(NEVER).unwrap();
        itself.forget();
        drop(stays);
        assert_eq!(
            log.take(),
            [
                ('a', START, 0),
                ('b', START, 0),
                ('b', FAILURE, CANCELLED),
                ('b', START, 0),
                ('b', FAILURE, CANCELLED),
            ]
        );
    }
}

#[test]
fn d3_registering_inside_a_callback_is_refused_and_reported() {
    let scene = scene();
    let _alone = alone();
    for abi in BOTH {
        let object = Object::open(abi);
        let handles = Mutex::new(Vec::new());
        let listener = Listener::with(abi, object.1, |_| {
            let handle = call!(abi, ExRegisterCallback(
                object.1 => usize, never(abi) => usize, 0 => usize,
            ) -> usize);
            handles.lock().unwrap().push(handle);
            None
        });
        world::get().partition.rehearse(NEVER).unwrap();
        drop(listener);
        assert_eq!(handles.into_inner().unwrap(), [0, 0], "refused in AddStart and in AddFailure");
        assert_eq!(
            scene.breaches("calls ExRegisterCallback for \\Callback\\ProcessorAdd").len(),
            2
        );
    }
}

routine! {
    fn never(_context: usize, _first: usize, _second: usize) {
        panic!("an unregistered function is called");
    }
}

#[test]
fn x4_a_driver_cannot_notify_through_the_systems_callback_object() {
    let scene = scene();
    let _alone = alone();
    for abi in BOTH {
        let object = Object::open(abi);
        let handle = call!(abi, ExRegisterCallback(
            object.1 => usize, never(abi) => usize, 0 => usize,
        ) -> usize);
        assert_ne!(handle, 0);
        call!(abi, ExNotifyCallback(object.1 => usize, 0 => usize, 0 => usize));
        call!(abi, ExUnregisterCallback(handle => usize));
        let breaches = scene.breaches("calls ExNotifyCallback for \\Callback\\ProcessorAdd");
        assert_eq!(breaches.len(), 1, "it is reported: {breaches:?}");
    }
}

#[test]
fn d2_unregistering_a_stale_handle_changes_nothing_and_is_reported() {
    let scene = scene();
    let _alone = alone();
    for abi in BOTH {
        let object = Object::open(abi);
        let handle = call!(abi, ExRegisterCallback(
            object.1 => usize, never(abi) => usize, 0 => usize,
        ) -> usize);
        for expected in [0, 1] {
            call!(abi, ExUnregisterCallback(handle => usize));
            let named =
                format!("ExUnregisterCallback for {handle:#x}, which is not a registration");
            assert_eq!(scene.breaches(&named).len(), expected);
        }
        world::get().partition.rehearse(NEVER).unwrap();
    }
}
