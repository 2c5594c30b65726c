//! Time in its units and in calendar fields.

use crate::tests::{BOTH, call};

const SECOND: i64 = 10_000_000;
const TO_1970: i64 = 11_644_473_600 * SECOND;

fn fields(abi: crate::ground::abi::Abi, time: i64) -> [i16; 8] {
    let mut fields = [0; 8];
    call!(abi, RtlTimeToTimeFields(&raw const time => *const i64, fields.as_mut_ptr() => *mut i16));
    fields
}

fn time(abi: crate::ground::abi::Abi, fields: [i16; 8]) -> Option<i64> {
    let mut time = 0;
    let is_one = call!(abi, RtlTimeFieldsToTime(fields.as_ptr() => *const i16, &raw mut time => *mut i64) -> u8);
    (is_one != 0).then_some(time)
}

#[test]
fn the_calendar_begins_on_a_monday_in_1601_and_has_leap_years() {
    let day = 86_400 * SECOND;
    let known = [
        (0, [1601, 1, 1, 0, 0, 0, 0, 1]),
        (TO_1970, [1970, 1, 1, 0, 0, 0, 0, 4]),
        (TO_1970 + 951_782_400 * SECOND, [2000, 2, 29, 0, 0, 0, 0, 2]),
        (TO_1970 + 951_782_400 * SECOND + day, [2000, 3, 1, 0, 0, 0, 0, 3]),
        (TO_1970 + 1_700_000_000 * SECOND + 1_230_000, [2023, 11, 14, 22, 13, 20, 123, 2]),
        (TO_1970 - SECOND, [1969, 12, 31, 23, 59, 59, 0, 3]),
    ];
    for abi in BOTH {
        for (at, expected) in known {
            assert_eq!(fields(abi, at), expected);
            assert_eq!(time(abi, expected), Some(at), "{expected:?}");
        }
        for wrong in [
            [1900, 2, 29, 0, 0, 0, 0, 0],
            [2001, 4, 31, 0, 0, 0, 0, 0],
            [2001, 13, 1, 0, 0, 0, 0, 0],
            [2001, 0, 1, 0, 0, 0, 0, 0],
            [2001, 1, 1, 24, 0, 0, 0, 0],
            [2001, 1, 1, 0, 0, 0, 1000, 0],
            [1600, 1, 1, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(time(abi, wrong), None, "{wrong:?} is not a valid time");
        }
    }
}

#[test]
fn every_day_of_a_cycle_converts_to_fields_and_back() {
    let abi = BOTH[0];
    let mut before = [0; 3];
    for day in 0..146_097 + 366 {
        let at = day * 86_400 * SECOND;
        let fields = fields(abi, at);
        assert!(fields[..3] > before[..], "{fields:?} is after {before:?}");
        before.copy_from_slice(&fields[..3]);
        assert_eq!(time(abi, fields), Some(at), "{fields:?}");
    }
}

#[test]
fn the_clocks_agree_with_this_machines() {
    let unix = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        TO_1970 + i64::try_from(now.as_nanos() / 100).unwrap()
    };
    for abi in BOTH {
        let mut now = 0;
        let before = unix();
        call!(abi, KeQuerySystemTime(&raw mut now => *mut i64));
        assert!((before..=unix()).contains(&now), "between two readings of the clock");
        let counter =
            || call!(abi, KeQueryPerformanceCounter(std::ptr::null_mut() => *mut i64) -> i64);
        let (first, second) = (counter(), counter());
        assert!(first <= second, "it only grows");
        let mut frequency = 0;
        call!(abi, KeQueryPerformanceCounter(&raw mut frequency => *mut i64) -> i64);
        assert_eq!(frequency, SECOND);
        let increment = call!(abi, KeQueryTimeIncrement() -> u32);
        let interrupt = || call!(abi, KeQueryInterruptTime() -> i64);
        let (mut ticks, from) = (0_i64, interrupt());
        call!(abi, KeQueryTickCount(&raw mut ticks => *mut i64));
        let increment = i64::from(increment);
        assert!(
            (from / increment..=interrupt() / increment).contains(&ticks),
            "ticks of that length"
        );
    }
}

#[test]
fn seconds_that_do_not_fit_are_refused() {
    for abi in BOTH {
        let since = |time: i64| {
            let mut seconds = 0;
            let fits = call!(abi, RtlTimeToSecondsSince1970(
                &raw const time => *const i64, &raw mut seconds => *mut u32,
            ) -> u8);
            (fits != 0).then_some(seconds)
        };
        assert_eq!(since(TO_1970 + 5 * SECOND), Some(5));
        assert_eq!(since(TO_1970 - 1), None);
        assert_eq!(since(TO_1970 + (1 << 32) * SECOND), None);
    }
}

#[test]
fn local_time_converts_to_system_time_and_back() {
    for abi in BOTH {
        let (mut local, mut back) = (0, 0);
        let now = TO_1970 + 1_700_000_000 * SECOND;
        call!(abi, ExSystemTimeToLocalTime(&raw const now => *const i64, &raw mut local => *mut i64));
        call!(abi, ExLocalTimeToSystemTime(&raw const local => *const i64, &raw mut back => *mut i64));
        assert_eq!(back, now);
        assert!((local - now).abs() <= 14 * 3600 * SECOND, "no time zone has a larger offset");
    }
}
