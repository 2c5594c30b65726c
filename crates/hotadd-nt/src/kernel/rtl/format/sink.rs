//! [`Sink`]: keeps the beginning of a text, and counts all of it.

use crate::kernel::rtl::text::Unit;

/// Keeps the beginning of a text, and counts all of it.
pub(crate) struct Sink<U> {
    kept: Vec<U>,
    most: usize,
    length: usize,
}

impl<U: Unit> Sink<U> {
    /// A sink that keeps at most this many units.
    pub(crate) const fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most, length: 0 }
    }

    /// The length of the whole text.
    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    /// The beginning that was kept.
    pub(crate) fn kept(&self) -> &[U] {
        &self.kept
    }

    pub(super) fn put(&mut self, unit: U) {
        self.pad(unit, 1);
    }

    pub(super) fn put_all(&mut self, units: &[U]) {
        let room = self.most - self.kept.len();
        self.kept.extend_from_slice(&units[..units.len().min(room)]);
        self.length = self.length.saturating_add(units.len());
    }

    /// Appends a unit many times. A width may be two billion, so units that are not kept cost nothing.
    pub(super) fn pad(&mut self, unit: U, times: usize) {
        let room = self.most - self.kept.len();
        self.kept.extend(std::iter::repeat_n(unit, times.min(room)));
        self.length = self.length.saturating_add(times);
    }
}
