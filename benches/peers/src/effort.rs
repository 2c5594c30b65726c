//! How much is measured, and medians of actions that take turns.

use std::time::Instant;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Everything runs once and with few sizes, to check that it works. The figures mean nothing.
    Once,
    /// A twentieth of the rounds.
    Quick,
    /// For the documentation.
    Full,
}

impl Effort {
    /// The number of rounds, if a full run has this many.
    pub(crate) fn rounds(self, full: usize) -> usize {
        match self {
            Self::Once => 1,
            Self::Quick => (full / 20).max(3),
            Self::Full => full,
        }
    }

    /// These sizes. Once: only the first two.
    pub(crate) fn sizes<T: Copy>(self, sizes: &[T]) -> Vec<T> {
        let number = if self == Self::Once { 2 } else { sizes.len() };
        sizes.iter().copied().take(number).collect()
    }
}

/// An action: returns its time in nanoseconds, or `None` if it cannot be measured here.
pub(crate) type Action<'a> = Box<dyn FnMut() -> Option<f64> + 'a>;

/// The median time of each action. They take turns: A B A B. One round before is not counted, if there is more than one.
pub(crate) fn alternate(rounds: usize, actions: &mut [Action<'_>]) -> Vec<Option<f64>> {
    let mut times = vec![Vec::with_capacity(rounds); actions.len()];
    for round in 0..=rounds {
        for (action, times) in actions.iter_mut().zip(&mut times) {
            let time = action();
            if round > 0 || rounds == 1 {
                times.extend(time);
            }
        }
    }
    times.into_iter().map(median).collect()
}

/// The median; `None` of nothing.
pub(crate) fn median(mut times: Vec<f64>) -> Option<f64> {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// The time of one call in nanoseconds, if it is made this many times in a row.
pub(crate) fn each(calls: usize, mut call: impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..calls {
        call();
    }
    per(nanos(began), calls)
}

/// The time since then, in nanoseconds.
pub(crate) fn nanos(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e9
}

/// The share of one of so many.
pub(crate) fn per(total: f64, number: usize) -> f64 {
    total / float(number)
}

/// As a floating point number: all numbers here are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) const fn float(number: usize) -> f64 {
    number as f64
}
