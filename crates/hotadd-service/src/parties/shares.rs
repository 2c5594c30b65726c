//! [`Shares`]: limits the number of connections, in total and of each user, so that no user can shut out the others.

use std::fmt;

use rustix::process::geteuid;

/// The maximum number of connections.
pub(crate) const MOST_CONNECTIONS: usize = 1024;

/// The maximum number of connections of one user that is neither root nor the user that serves the partition.
const SHARE: usize = 256;

/// The number of additional connections for the user that serves the partition and for root; and then for
/// root alone.
const KEPT_FOR_ITS_USER: usize = 32;
const KEPT_FOR_ROOT: usize = 32;

/// Why one more connection is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// There are too many connections in total.
    All,
    /// There are too many connections of this user.
    Share,
    /// The partition is not served any more.
    Ended,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("there are too many connections"),
            Self::Share => write!(f, "its user has reached the limit of {SHARE} connections"),
            Self::Ended => f.write_str("the partition is no longer served"),
        }
    }
}

/// The rule that assigns connections to users.
#[derive(Clone, Copy)]
pub(crate) struct Shares {
    /// The user that serves the partition.
    own: u32,
}

impl Shares {
    pub(crate) fn new() -> Self {
        Self { own: geteuid().as_raw() }
    }

    /// Whether one more connection of this user is accepted besides these. `None` is a process of the
    /// partition itself.
    pub(crate) fn take(
        self,
        user: Option<u32>,
        there: impl Iterator<Item = Option<u32>>,
    ) -> Result<(), Full> {
        let user = user.unwrap_or(self.own);
        let (mut all, mut of_user) = (0, 0);
        for one in there {
            all += 1;
            of_user += usize::from(one.unwrap_or(self.own) == user);
        }
        let (most, share) = if user == 0 {
            (MOST_CONNECTIONS + KEPT_FOR_ITS_USER + KEPT_FOR_ROOT, usize::MAX)
        } else if user == self.own {
            (MOST_CONNECTIONS + KEPT_FOR_ITS_USER, usize::MAX)
        } else {
            (MOST_CONNECTIONS, SHARE)
        };
        if of_user >= share {
            Err(Full::Share)
        } else if all >= most {
            Err(Full::All)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 1000;

    /// The number of connections that each of these users gets. Each user connects until it is refused, one
    /// user after the other.
    fn seats(users: &[Option<u32>]) -> (Vec<usize>, Vec<Option<u32>>) {
        let shares = Shares { own: OWN };
        let mut there = Vec::new();
        let counts = users.iter().map(|user| {
            let before = there.len();
            while shares.take(*user, there.iter().copied()).is_ok() {
                there.push(*user);
            }
            there.len() - before
        });
        (counts.collect(), there)
    }

    #[test]
    fn each_user_has_a_share_and_room_is_reserved_for_the_partitions_user_and_root() {
        let users = [Some(1), Some(2), Some(3), Some(4), Some(5), Some(OWN), Some(0)];
        assert_eq!(
            seats(&users).0,
            [SHARE, SHARE, SHARE, SHARE, 0, KEPT_FOR_ITS_USER, KEPT_FOR_ROOT]
        );
    }

    #[test]
    fn the_partitions_user_may_take_all_connections_but_those_of_root() {
        let (counts, there) = seats(&[Some(OWN), None, Some(1), Some(0)]);
        assert_eq!(counts, [MOST_CONNECTIONS + KEPT_FOR_ITS_USER, 0, 0, KEPT_FOR_ROOT]);
        let full = Shares { own: OWN }.take(None, there.iter().copied());
        assert_eq!(full, Err(Full::All), "its own processes count as its user's");
        assert_eq!(seats(&[None]).0, [MOST_CONNECTIONS + KEPT_FOR_ITS_USER]);
    }
}
