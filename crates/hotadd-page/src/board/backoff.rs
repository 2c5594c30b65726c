//! [`Backoff`]: how often it is worthwhile to spin.

/// After a spin without success the next 2, 4, ... 64 are not done. A success resets this.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// How many are not done after the next one without success; 0 means 2.
    next: u32,
    /// How many are still not done.
    left: u32,
}

const MOST: u32 = 64;

impl Backoff {
    /// Whether to spin this time.
    pub(super) fn is_due(&mut self) -> bool {
        let due = self.left == 0;
        self.left = self.left.saturating_sub(1);
        due
    }

    /// Says whether a spin had success.
    pub(super) fn ended(&mut self, success: bool) {
        if success {
            *self = Self::default();
        } else {
            self.left = self.next.max(2);
            self.next = (self.left * 2).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spins_without_success_become_rare_and_a_success_resets_this() {
        let mut backoff = Backoff::default();
        let mut done = || {
            let skipped = (0..).take_while(|_| !backoff.is_due()).count();
            backoff.ended(false);
            skipped
        };
        let skipped: Vec<_> = (0..9).map(|_| done()).collect();
        assert_eq!(skipped, [0, 2, 4, 8, 16, 32, 64, 64, 64]);
        backoff.ended(true);
        assert!(backoff.is_due());
    }
}
