//! [`Log`], and [`Refusals`]: logs refusals, and limits how many are logged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::lock::lock;

/// Receives a sentence about each peer that the service refused or disconnected. It is called on any of its threads and
/// must not block.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// The maximum number of refusals of one user that are logged in a [`SPAN`].
const MOST: u32 = 10;

/// After this time a user's limit is reset.
const SPAN: Duration = Duration::from_secs(10);

/// The maximum number of users that are counted separately. All others share the limit of one user.
const MOST_USERS: usize = 64;

/// Counts the refusals of each user.
#[derive(Default)]
pub(crate) struct Refusals {
    users: Mutex<HashMap<Option<u32>, Tally>>,
}

/// The recent refusals of one user.
struct Tally {
    since: Instant,
    logged: u32,
    passed_over: u64,
}

impl Refusals {
    /// Logs that a peer of this user was refused. Peers whose user is unknown share one limit. May be called on any thread;
    /// does not block.
    pub(crate) fn tell(&self, log: &Log, uid: Option<u32>, line: &str) {
        for line in self.lines(uid, line, Instant::now()) {
            log(&line);
        }
    }

    /// The lines to log now.
    fn lines(&self, uid: Option<u32>, line: &str, now: Instant) -> Vec<String> {
        let mut users = lock(&self.users);
        let over = |tally: &Tally| now.saturating_duration_since(tally.since) >= SPAN;
        if users.len() >= MOST_USERS && !users.contains_key(&uid) {
            // Removes users whose span is over and of whom no refusals remain to be reported.
            users.retain(|_, tally| !over(tally) || tally.passed_over > 0);
        }
        let known = users.contains_key(&uid) || users.len() < MOST_USERS;
        let user = uid.filter(|_| known);
        let fresh = || Tally { since: now, logged: 0, passed_over: 0 };
        let tally = users.entry(user).or_insert_with(fresh);
        let mut lines = Vec::new();
        if over(tally) {
            if tally.passed_over > 0 {
                let whose = user.map_or("other users".to_owned(), |uid| format!("user {uid}"));
                let passed = tally.passed_over;
                lines.push(format!("{passed} more refusals for {whose} were not logged"));
            }
            *tally = fresh();
        }
        if tally.logged < MOST {
            tally.logged += 1;
            lines.push(line.to_owned());
        } else {
            tally.passed_over += 1;
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_limited_and_counted() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let logged: usize = (0..1000).map(|_| refusals.lines(Some(1), "no", now).len()).sum();
        assert_eq!(logged, MOST as usize);
        let later = refusals.lines(Some(1), "no again", now + SPAN);
        assert_eq!(later, ["990 more refusals for user 1 were not logged", "no again"]);
    }

    #[test]
    fn a_flood_of_one_user_does_not_hide_others() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        for _ in 0..1000 {
            refusals.lines(Some(1), "no", now);
        }
        assert_eq!(refusals.lines(Some(2), "neither you", now), ["neither you"]);
    }

    #[test]
    fn the_number_of_users_kept_is_limited() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let logged: usize = (0..1000).map(|uid| refusals.lines(Some(uid), "no", now).len()).sum();
        assert_eq!(logged, MOST_USERS + MOST as usize, "further users share one limit");
        assert_eq!(lock(&refusals.users).len(), MOST_USERS + 1);
        refusals.lines(Some(1000), "no", now + SPAN);
        assert!(lock(&refusals.users).len() <= 2, "old users were forgotten");
    }
}
