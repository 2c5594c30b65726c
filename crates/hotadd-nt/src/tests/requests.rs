//! Requests: their stack locations, completion routines, cancelling, and stacks of devices.

use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use windows_sys::Wdk::Foundation as wdk;

use crate::ground::abi::Abi;
use crate::tests::{BOTH, Memory, call, routine, scene};

const MORE: i32 = 0xC000_0016_u32.cast_signed();
const CANCELLED: i32 = 0xC000_0120_u32.cast_signed();
const REFUSED: i32 = 0xC000_0010_u32.cast_signed();

/// The dispatch routines share what they have seen.
static ONE: Mutex<()> = Mutex::new(());
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn saw(what: String) {
    SEEN.lock().unwrap().push(what);
}

fn seen() -> Vec<String> {
    std::mem::take(&mut *SEEN.lock().unwrap())
}

/// A field of a structure in memory.
fn get<T: Copy>(at: usize, offset: usize) -> T {
    // SAFETY: a field of a request, a device or a stack location.
    unsafe { ((at + offset) as *const T).read_volatile() }
}

fn set<T>(at: usize, offset: usize, value: T) {
    // SAFETY: a field of a request, a device or a stack location.
    unsafe { ((at + offset) as *mut T).write_volatile(value) };
}

/// Offsets of an IRP, a stack location and a device.
const MDL: usize = 0x8;
const SYSTEM_BUFFER: usize = 0x18;
const STATUS: usize = 0x30;
const INFORMATION: usize = 0x38;
const PENDING_RETURNED: usize = 0x41;
const STACK_COUNT: usize = 0x42;
const LOCATION: usize = 0x43;
const CANCEL: usize = 0x44;
const CANCEL_IRQL: usize = 0x45;
const CANCEL_ROUTINE: usize = 0x68;
const USER_BUFFER: usize = 0x70;
const STACK: usize = 0xb8;
const NEXT: usize = 0x48;
const CONTROL: usize = 3;
const ROUTINE: usize = 0x38;
const CONTEXT: usize = 0x40;
const STACK_SIZE: usize = 0x4c;
const FLAGS: usize = 0x30;

fn current(irp: usize) -> usize {
    get(irp, STACK)
}

fn next(irp: usize) -> usize {
    current(irp) - NEXT
}

/// What the lowest driver answers.
static ANSWER: AtomicI32 = AtomicI32::new(0);

routine! { fn lowest(device: usize, irp: usize) -> i32 {
    let location = current(irp);
    saw(format!("driver {:#x} major {}", device & 0xfff, get::<u8>(location, 0)));
    let buffer: usize = get(irp, SYSTEM_BUFFER);
    if buffer != 0 && get::<u8>(location, 0) == 0xe {
        // Doubles the bytes of the input.
        for at in 0..get::<u32>(location, 0x10) as usize {
            set(buffer, at, get::<u8>(buffer, at) * 2);
        }
        set(irp, INFORMATION, get::<u32>(location, 8) as usize);
    }
    let status = ANSWER.load(Ordering::Relaxed);
    set(irp, STATUS, status);
    call!(Abi::SysV, IofCompleteRequest(irp => usize, 0 => i8));
    status
} }

/// The device below the filter.
static BELOW: AtomicUsize = AtomicUsize::new(0);

routine! { fn filter(_device: usize, irp: usize) -> i32 {
    saw("filter".to_owned());
    // As IoCopyCurrentIrpStackLocationToNext does.
    let (from, to) = (current(irp), next(irp));
    for at in 0..0x38 {
        set(to, at, get::<u8>(from, at));
    }
    set(to, CONTROL, 0xe0_u8);
    set(to, ROUTINE, passed(Abi::SysV));
    set(to, CONTEXT, 0x55_usize);
    call!(Abi::SysV, IofCallDriver(BELOW.load(Ordering::Relaxed) => usize, irp => usize) -> i32)
} }

routine! { fn passed(device: usize, irp: usize, context: usize) -> i32 {
    saw(format!("passed {:#x} {context:#x} {:#x}", device & 0xfff, get::<i32>(irp, STATUS)));
    0
} }

routine! { fn kept(device: usize, _irp: usize, context: usize) -> i32 {
    saw(format!("kept {device:#x} {context:#x}"));
    MORE
} }

fn device(abi: Abi, driver: &mut wdk::DRIVER_OBJECT) -> usize {
    let mut device = 0_usize;
    let status = call!(abi, IoCreateDevice(
        ptr::from_mut(driver) => *mut wdk::DRIVER_OBJECT, 0 => u32, 0 => usize, 0x22 => u32, 0 => u32, 0 => u8,
        &raw mut device => *mut usize,
    ) -> i32);
    assert_eq!(status, 0);
    device
}

fn driver(dispatch: usize) -> wdk::DRIVER_OBJECT {
    // SAFETY: a function of this kind, or none.
    let dispatch = unsafe { std::mem::transmute::<usize, wdk::DRIVER_DISPATCH>(dispatch) };
    wdk::DRIVER_OBJECT { Size: 0x150, MajorFunction: [dispatch; 28], ..Default::default() }
}

fn delete(abi: Abi, device: usize) {
    call!(abi, IoDeleteDevice(device => usize));
}

fn allocate(abi: Abi, stack_size: i8) -> usize {
    call!(abi, IoAllocateIrp(stack_size => i8, 0 => u8) -> usize)
}

#[test]
fn a_new_request_has_its_stack_locations_and_no_current_one() {
    scene();
    for abi in BOTH {
        let irp = allocate(abi, 3);
        assert_eq!((get::<i16>(irp, 0), get::<u16>(irp, 2)), (6, 0xd0 + 3 * 0x48), "Type and Size");
        assert_eq!((get::<i8>(irp, STACK_COUNT), get::<i8>(irp, LOCATION)), (3, 4));
        assert_eq!(current(irp), irp + 0xd0 + 3 * 0x48, "one past the last location");
        set(irp, CANCEL, 1_u8);
        call!(abi, IoReuseIrp(irp => usize, CANCELLED => i32));
        assert_eq!((get::<i32>(irp, STATUS), get::<u8>(irp, CANCEL)), (CANCELLED, 0));
        call!(abi, IoFreeIrp(irp => usize));
        assert_eq!(allocate(abi, -1), 0);
        let own = Memory::<{ 0xd0 + 0x48 }>::new();
        call!(abi, IoInitializeIrp(own.at() => *mut u8, 0xd0 + 0x48 => u16, 1 => i8));
        assert_eq!((own.read::<i16>(0), own.read::<i8>(LOCATION)), (6, 2));
    }
}

#[test]
fn a_request_goes_down_a_stack_of_devices_and_its_completion_up_again() {
    let _one = ONE.lock().unwrap();
    scene();
    for abi in BOTH {
        let (mut low, mut high) = (driver(lowest(abi)), driver(filter(abi)));
        let (bottom, top) = (device(abi, &mut low), device(abi, &mut high));
        let below = call!(abi, IoAttachDeviceToDeviceStack(top => usize, bottom => usize) -> usize);
        BELOW.store(below, Ordering::Relaxed);
        assert_eq!(
            (below, get::<i8>(top, STACK_SIZE)),
            (bottom, 2),
            "one more than the device below"
        );
        assert_eq!(call!(abi, IoGetAttachedDevice(bottom => usize) -> usize), top);
        for (status, answer) in [(0, 0), (REFUSED, REFUSED)] {
            ANSWER.store(answer, Ordering::Relaxed);
            let irp = allocate(abi, 2);
            set(next(irp), 0, 3_u8);
            set(next(irp), CONTROL, 0xe0_u8);
            set(next(irp), ROUTINE, kept(abi));
            set(next(irp), CONTEXT, 0x66_usize);
            let returned = call!(abi, IofCallDriver(top => usize, irp => usize) -> i32);
            assert_eq!(returned, status);
            assert_eq!(
                seen(),
                [
                    "filter".to_owned(),
                    format!("driver {:#x} major 3", bottom & 0xfff),
                    format!("passed {:#x} 0x55 {status:#x}", top & 0xfff),
                    "kept 0x0 0x66".to_owned(),
                ],
                "each routine has the device of the one who set it, and the first one none"
            );
            call!(abi, IoFreeIrp(irp => usize));
        }
        call!(abi, IoDetachDevice(bottom => usize));
        assert_eq!(call!(abi, IoGetAttachedDevice(bottom => usize) -> usize), bottom);
        delete(abi, top);
        delete(abi, bottom);
    }
}

#[test]
fn a_completion_routine_is_called_only_for_the_results_it_asked_for() {
    let _one = ONE.lock().unwrap();
    scene();
    for abi in BOTH {
        let mut low = driver(lowest(abi));
        let bottom = device(abi, &mut low);
        // SL_INVOKE_ON_SUCCESS, _ERROR, _CANCEL; the status; whether it is cancelled; whether it is called.
        for (control, status, cancelled, called) in [
            (0x40_u8, 0, 0_u8, true),
            (0x40, REFUSED, 0, false),
            (0x80, REFUSED, 0, true),
            (0x80, 0, 0, false),
            (0x20, REFUSED, 0, false),
            (0x20, REFUSED, 1, true),
            (0x20, 0, 1, true),
        ] {
            ANSWER.store(status, Ordering::Relaxed);
            let irp = allocate(abi, 2);
            // The second location keeps the request in any case.
            set(next(irp), CONTROL, 0xe0_u8);
            set(next(irp), ROUTINE, kept(abi));
            set(irp, LOCATION, 2_i8);
            set(irp, STACK, next(irp));
            set(next(irp), CONTROL, control);
            set(next(irp), ROUTINE, passed(abi));
            set(irp, CANCEL, cancelled);
            call!(abi, IofCallDriver(bottom => usize, irp => usize) -> i32);
            let seen = seen();
            assert_eq!(
                seen.iter().any(|line| line.starts_with("passed")),
                called,
                "{control:#x} {seen:?}"
            );
            assert!(seen.last().unwrap().starts_with("kept"), "{seen:?}");
            call!(abi, IoFreeIrp(irp => usize));
        }
        delete(abi, bottom);
    }
}

#[test]
fn a_pending_request_is_marked_in_every_location_without_a_completion_routine() {
    let _one = ONE.lock().unwrap();
    scene();
    for abi in BOTH {
        let irp = allocate(abi, 3);
        let top = next(irp);
        set(top, CONTROL, 0xe0_u8);
        set(top, ROUTINE, kept(abi));
        set(irp, LOCATION, 1_i8);
        set(irp, STACK, irp + 0xd0);
        // SL_PENDING_RETURNED, as IoMarkIrpPending sets it.
        set(irp + 0xd0, CONTROL, 1_u8);
        set(irp, STATUS, 0_i32);
        call!(abi, IofCompleteRequest(irp => usize, 0 => i8));
        assert_eq!(get::<u8>(irp + 0xd0 + NEXT, CONTROL) & 1, 1, "the driver above");
        assert_eq!(get::<u8>(irp, PENDING_RETURNED), 1, "PendingReturned for the routine");
        assert_eq!(seen().len(), 1);
        call!(abi, IoFreeIrp(irp => usize));
    }
}

#[test]
fn a_device_control_request_has_the_buffers_of_its_method() {
    let _one = ONE.lock().unwrap();
    scene();
    for abi in BOTH {
        let mut low = driver(lowest(abi));
        let bottom = device(abi, &mut low);
        let (input, mut output) = ([1_u8, 2, 3, 4], [0_u8; 8]);
        let event = Memory::<0x18>::new();
        call!(abi, KeInitializeEvent(event.at() => *mut u8, 0 => i32, 0 => u8));
        let mut block = [7_usize; 2];
        let mut build = |method: u32, output_length: u32| {
            call!(abi, IoBuildDeviceIoControlRequest(
                0x22_0000 | method => u32, bottom => usize, input.as_ptr() => *const u8, 4 => u32,
                output.as_mut_ptr() => *mut u8, output_length => u32, 0 => u8, event.at() => *mut u8,
                block.as_mut_ptr() => *mut usize,
            ) -> usize)
        };
        ANSWER.store(0, Ordering::Relaxed);
        let buffered = build(0, 4);
        let location = next(buffered);
        assert_eq!(
            (get::<u8>(location, 0), get::<u32>(location, 8), get::<u32>(location, 0x10)),
            (0xe, 4, 4),
            "IRP_MJ_DEVICE_CONTROL and the lengths"
        );
        let status = call!(abi, IofCallDriver(bottom => usize, buffered => usize) -> i32);
        let direct = build(2, 8);
        assert_ne!((get::<usize>(direct, MDL), get::<usize>(direct, SYSTEM_BUFFER)), (0, 0));
        set(direct, STATUS, CANCELLED);
        call!(abi, IofCallDriver(bottom => usize, direct => usize) -> i32);
        let neither = build(3, 8);
        assert_eq!(get::<usize>(next(neither), 0x20), input.as_ptr() as usize, "Type3InputBuffer");
        assert_ne!(get::<usize>(neither, USER_BUFFER), 0);
        call!(abi, IofCallDriver(bottom => usize, neither => usize) -> i32);
        assert_eq!((status, &output[..4]), (0, &[2, 4, 6, 8][..]), "copied back");
        assert_eq!(block[0] as u32, 0, "the status block is written");
        assert_eq!(
            call!(abi, KeReadStateEvent(event.at() => *mut u8) -> i32),
            1,
            "the event is set"
        );
        assert_eq!(seen().len(), 3);
        delete(abi, bottom);
    }
}

#[test]
fn a_transfer_has_the_buffer_that_the_device_asks_for() {
    let _one = ONE.lock().unwrap();
    scene();
    for abi in BOTH {
        let mut low = driver(lowest(abi));
        let bottom = device(abi, &mut low);
        let (mut buffer, mut block, event) = ([5_u8; 16], [0_usize; 2], Memory::<0x18>::new());
        call!(abi, KeInitializeEvent(event.at() => *mut u8, 0 => i32, 0 => u8));
        let mut build = |major: u32| {
            call!(abi, IoBuildSynchronousFsdRequest(
                major => u32, bottom => usize, buffer.as_mut_ptr() => *mut u8, 16 => u32, &0x1000_i64 => *const i64,
                event.at() => *mut u8, block.as_mut_ptr() => *mut usize,
            ) -> usize)
        };
        ANSWER.store(0, Ordering::Relaxed);
        for (flags, has) in
            [(4_u32, [true, false, false]), (0x10, [false, true, false]), (0, [false, false, true])]
        {
            set(bottom, FLAGS, flags);
            let irp = build(4);
            let location = next(irp);
            assert_eq!(
                (get::<u8>(location, 0), get::<u32>(location, 8), get::<i64>(location, 0x18)),
                (4, 16, 0x1000),
                "IRP_MJ_WRITE, the length and the offset"
            );
            let buffers =
                [SYSTEM_BUFFER, MDL, USER_BUFFER].map(|field| get::<usize>(irp, field) != 0);
            assert_eq!(buffers, has, "{flags:#x}");
            call!(abi, IofCallDriver(bottom => usize, irp => usize) -> i32);
        }
        let flush = call!(abi, IoBuildAsynchronousFsdRequest(
            9 => u32, bottom => usize, 0 => usize, 0 => u32, 0 => usize, 0 => usize,
        ) -> usize);
        assert_eq!(get::<u8>(next(flush), 0), 9);
        call!(abi, IoFreeIrp(flush => usize));
        seen();
        delete(abi, bottom);
    }
}

routine! { fn cancel(_device: usize, irp: usize) {
    saw(format!("cancel at {}", call!(Abi::SysV, KeGetCurrentIrql() -> u8)));
    call!(Abi::SysV, IoReleaseCancelSpinLock(get::<u8>(irp, CANCEL_IRQL) => u8));
} }

/// "IoCancelIrp returns TRUE if the IRP was canceled", "calls the cancel routine with the cancel spin lock held".
#[test]
fn cancelling_calls_the_cancel_routine_once_with_the_lock_held() {
    let _one = ONE.lock().unwrap();
    scene();
    for abi in BOTH {
        let irp = allocate(abi, 1);
        let ask = || call!(abi, IoCancelIrp(irp => usize) -> u8);
        assert_eq!((ask(), get::<u8>(irp, CANCEL)), (0, 1), "without a routine it is only marked");
        set(irp, CANCEL_ROUTINE, cancel(abi));
        assert_eq!(
            (ask(), get::<usize>(irp, CANCEL_ROUTINE), seen()),
            (1, 0, vec!["cancel at 2".to_owned()])
        );
        assert_eq!((ask(), call!(abi, KeGetCurrentIrql() -> u8)), (0, 0));
        let mut old = 9_u8;
        call!(abi, IoAcquireCancelSpinLock(&raw mut old => *mut u8));
        assert_eq!(call!(abi, KeGetCurrentIrql() -> u8), 2);
        call!(abi, IoReleaseCancelSpinLock(old => u8));
        call!(abi, IoFreeIrp(irp => usize));
    }
}

#[test]
fn a_remove_lock_lets_the_removal_wait_and_refuses_later_acquisitions() {
    const DELETE_PENDING: i32 = 0xC000_0056_u32.cast_signed();
    scene();
    for abi in BOTH {
        let lock = Memory::<0x20>::new();
        let at = lock.at() as usize;
        call!(abi, IoInitializeRemoveLockEx(at => usize, 0 => u32, 0 => u32, 0 => u32, 0x20 => u32));
        let acquire = || call!(abi, IoAcquireRemoveLockEx(at => usize, 0 => usize, 0 => usize, 0 => u32, 0x20 => u32) -> i32);
        let release = || call!(abi, IoReleaseRemoveLockEx(at => usize, 0 => usize, 0x20 => u32));
        assert_eq!((acquire(), acquire()), (0, 0));
        std::thread::scope(|scope| {
            let removal = scope.spawn(|| {
                call!(abi, IoReleaseRemoveLockAndWaitEx(at => usize, 0 => usize, 0x20 => u32));
            });
            while lock.read::<u8>(0) == 0 {
                std::thread::yield_now();
            }
            assert_eq!(acquire(), DELETE_PENDING);
            assert!(!removal.is_finished(), "one acquisition is left");
            release();
            removal.join().unwrap();
        });
        assert_eq!((lock.read::<i32>(4), acquire()), (0, DELETE_PENDING));
    }
}

#[test]
fn power_functions_of_requests_do_what_their_pages_say() {
    let _one = ONE.lock().unwrap();
    scene();
    for abi in BOTH {
        let mut low = driver(lowest(abi));
        let bottom = device(abi, &mut low);
        ANSWER.store(0, Ordering::Relaxed);
        let irp = allocate(abi, 1);
        set(next(irp), 0, 0x16_u8);
        set(next(irp), CONTROL, 0xe0_u8);
        set(next(irp), ROUTINE, kept(abi));
        call!(abi, PoStartNextPowerIrp(irp => usize));
        assert_eq!(call!(abi, PoCallDriver(bottom => usize, irp => usize) -> i32), 0);
        assert_eq!(seen().len(), 2);
        call!(abi, IoFreeIrp(irp => usize));
        call!(abi, IoInvalidateDeviceState(bottom => usize));
        call!(abi, IoInvalidateDeviceRelations(bottom => usize, 0 => u32));
        delete(abi, bottom);
    }
}
