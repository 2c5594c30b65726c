//! [`Access`]: who may do what with a partition.
//!
//! There are three rights: to look, to register as a party, and to change the partition. A peer's rights are determined when
//! it connects. The exception is a peer on a bus that is neither the partition's user nor root: there polkit is asked for
//! each request, if polkit exists.

use std::fmt;
use std::io;

use nix::errno::Errno;
use nix::unistd::Group;
use rustix::process::geteuid;

use crate::access::peer::Peer;

/// A right of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// To read the set, the parties, the history and why processors are not active; and to receive signals.
    Look,
    /// To be a party, which may refuse processors and which transactions wait for.
    Register,
    /// To add, to remove, and to rehearse, which asks every party.
    Change,
}

impl Right {
    /// The right that is needed to call this method of a partition; `None` if there is no such method.
    pub(crate) fn to_call(method: &str) -> Option<Self> {
        Some(match method {
            "GetSet" | "GetPage" | "GetParties" | "GetWaiting" | "GetCandidates" | "GetMissing"
            | "GetHistory" | "GetEvents" | "GetAbsent" | "GetMetrics" => Self::Look,
            "Register" | "Deregister" | "OpenBoard" => Self::Register,
            "Add" | "AddBatch" | "Remove" | "Rehearse" | "RehearseRemoval" | "RestartParty" => {
                Self::Change
            }
            _ => return None,
        })
    }

    /// The polkit action of the right.
    pub(crate) const fn action(self) -> &'static str {
        match self {
            Self::Look => "org.hotadd.look",
            Self::Register => "org.hotadd.register",
            Self::Change => "org.hotadd.change",
        }
    }

    /// The right as a phrase for messages.
    pub(crate) const fn wish(self) -> &'static str {
        match self {
            Self::Look => "to query the partition",
            Self::Register => "to register",
            Self::Change => "to change the partition",
        }
    }
}

/// Which users may make which requests of a partition.
///
/// | | [`own`](Self::own), the default | [`machine`](Self::machine) |
/// |---|---|---|
/// | at a socket | its own user and root: everything | these and a group: everything; all others are refused |
/// | on a bus | the same | these: everything; all others may look, and need polkit's consent for more |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether this is the access to the partition of a whole machine.
    machine: bool,
    group: Option<Members>,
}

/// The group whose members may do everything.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Members {
    name: String,
    gid: u32,
}

/// Why an [`Access`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The system's name service does not know the group, and the text is not a group number.
    #[error(
        "there is no group {0}; create it with `groupadd --system {0}`, or configure another group"
    )]
    NoGroup(String),
    /// The name service failed. It is not known whether the group exists.
    #[error(
        "the group {name} cannot be looked up: {error}; a group number works without a look-up"
    )]
    Lookup {
        /// The group.
        name: String,
        /// The name service's error.
        error: io::Error,
    },
}

/// How far an accepted peer is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The peer may do everything.
    Full,
    /// The peer may look. For everything else the authority of its bus is asked. `member`: the peer is trusted if there is no
    /// authority.
    AsAuthorized { member: bool },
}

impl Access {
    /// Access for the user that serves the partition, and root. They may do everything; all other users are refused.
    #[must_use]
    pub const fn own() -> Self {
        Self { machine: false, group: None }
    }

    /// Access to the partition of a whole machine. The user that serves it, root and the members of this group may do
    /// everything, at a socket of mode 0660 that belongs to the group. On a bus, where the partition is called
    /// [`MACHINE_BUS_NAME`](crate::MACHINE_BUS_NAME), everybody may look. To register or to change the partition, a peer needs
    /// polkit's consent (`org.hotadd.register`, `org.hotadd.change`), or without polkit must be in the group.
    ///
    /// The group is a name, which the system's name service (NSS) looks up now, or a number.
    ///
    /// # Errors
    /// If there is no such group, or if the lookup fails.
    pub fn machine(group: &str) -> Result<Self, AccessError> {
        // A number need not be looked up. The highest number means "none" to the kernel.
        if let Ok(gid) = group.parse::<u32>()
            && gid != u32::MAX
        {
            let members = Members { name: group.to_owned(), gid };
            return Ok(Self { machine: true, group: Some(members) });
        }
        match Group::from_name(group) {
            Ok(Some(found)) => {
                let members = Members { name: group.to_owned(), gid: found.gid.as_raw() };
                Ok(Self { machine: true, group: Some(members) })
            }
            // If there is no list of groups, the group does not exist.
            Ok(None) | Err(Errno::ENOENT | Errno::ESRCH) => {
                Err(AccessError::NoGroup(group.to_owned()))
            }
            Err(errno) => Err(AccessError::Lookup { name: group.to_owned(), error: errno.into() }),
        }
    }

    /// The same access without a group: the user that serves it and root may do everything, and a socket refuses all others.
    #[must_use]
    pub const fn machine_without_group() -> Self {
        Self { machine: true, group: None }
    }

    /// Whether this is the access to the partition of a whole machine.
    #[must_use]
    pub const fn is_machine(&self) -> bool {
        self.machine
    }

    /// The group that owns the socket.
    pub(crate) const fn gid(&self) -> Option<u32> {
        match &self.group {
            Some(group) => Some(group.gid),
            None => None,
        }
    }

    /// Whether a peer is accepted at a socket. An accepted peer may do everything.
    pub(crate) fn admits(&self, peer: &Peer) -> bool {
        self.is_ours(peer) || self.is_member(peer)
    }

    /// What a peer on a bus may do; `None` if it is refused.
    pub(crate) fn trust_on_bus(&self, peer: &Peer) -> Option<Trust> {
        if self.is_ours(peer) {
            Some(Trust::Full)
        } else {
            self.machine.then(|| Trust::AsAuthorized { member: self.is_member(peer) })
        }
    }

    fn is_ours(&self, peer: &Peer) -> bool {
        peer.uid == 0 || peer.uid == geteuid().as_raw()
    }

    fn is_member(&self, peer: &Peer) -> bool {
        self.group.as_ref().is_some_and(|group| peer.groups.contains(&group.gid))
    }
}

impl fmt::Display for Access {
    /// Names the users that may do everything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            None => f.write_str("its own user and root"),
            Some(group) => write!(f, "root and members of the group {}", group.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user that is neither root nor, in all likelihood, the user of this process.
    const STRANGER: u32 = 3_000_000_001;

    fn peer(uid: u32, groups: &[u32]) -> Peer {
        Peer { uid, pid: Some(1), groups: groups.to_vec() }
    }

    #[test]
    fn a_users_partition_admits_its_user_and_root() {
        let access = Access::default();
        assert_eq!(access, Access::own());
        for uid in [0, geteuid().as_raw()] {
            assert!(access.admits(&peer(uid, &[])));
            assert_eq!(access.trust_on_bus(&peer(uid, &[])), Some(Trust::Full));
        }
        let stranger = peer(STRANGER, &[0]);
        assert!(!access.admits(&stranger), "root's group is not root");
        assert_eq!(access.trust_on_bus(&stranger), None);
    }

    #[test]
    fn a_machines_partition_admits_its_group_and_on_a_bus_every_user() {
        let access = Access::machine("77").unwrap();
        let (member, stranger) = (peer(STRANGER, &[5, 77]), peer(STRANGER, &[5]));
        assert!(access.admits(&peer(0, &[])) && access.admits(&member));
        assert!(!access.admits(&stranger));
        let trust = |peer| access.trust_on_bus(peer);
        assert_eq!(trust(&member), Some(Trust::AsAuthorized { member: true }));
        assert_eq!(trust(&stranger), Some(Trust::AsAuthorized { member: false }));
        assert_eq!(trust(&peer(0, &[])), Some(Trust::Full));
    }

    #[test]
    fn a_machines_partition_without_a_group_admits_root_and_on_a_bus_asks_polkit() {
        let access = Access::machine_without_group();
        assert!(access.is_machine() && access.gid().is_none());
        let stranger = peer(STRANGER, &[0]);
        assert!(access.admits(&peer(0, &[])) && !access.admits(&stranger));
        assert_eq!(access.trust_on_bus(&stranger), Some(Trust::AsAuthorized { member: false }));
    }

    #[test]
    fn a_group_is_found_by_name_and_a_missing_one_is_an_error() {
        assert_eq!(Access::machine("root").unwrap().gid(), Some(0), "every system has this group");
        let none = Access::machine("hotadd-no-such-group").unwrap_err();
        assert!(matches!(none, AccessError::NoGroup(_)), "{none}");
        assert!(none.to_string().contains("groupadd --system hotadd-no-such-group"), "{none}");
        for no_name in ["", "a\0b", "4294967295", "-1"] {
            Access::machine(no_name).expect_err("it is neither a name nor a number");
        }
    }
}
