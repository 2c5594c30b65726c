//! [`Access`]: who may do what with a partition.
//!
//! There are three rights: to look, to register as a party, and to change the partition. Who has which is settled when a peer
//! comes, but for strangers on a bus: there polkit is asked each time, if there is one.

use std::fmt;
use std::io;

use nix::errno::Errno;
use nix::unistd::Group;
use rustix::process::geteuid;

use crate::access::peer::Peer;

/// What a peer may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// To read the set, the parties, the history, why processors are out, and to be told what happens.
    Look,
    /// To be a party, which may refuse processors and is waited for.
    Register,
    /// To add, to remove, and to rehearse, which asks every party.
    Change,
}

impl Right {
    /// What it takes to call this method of a partition; `None` if there is none of this name.
    pub(crate) fn to_call(method: &str) -> Option<Self> {
        Some(match method {
            "GetSet" | "GetParties" | "GetWaiting" | "GetCandidates" | "GetMissing"
            | "GetHistory" | "GetAbsent" => Self::Look,
            "Register" | "Deregister" => Self::Register,
            "Add" | "AddBatch" | "Remove" | "Rehearse" | "RestartParty" => Self::Change,
            _ => return None,
        })
    }

    /// The action of polkit that stands for it.
    pub(crate) const fn action(self) -> &'static str {
        match self {
            Self::Look => "org.hotadd.look",
            Self::Register => "org.hotadd.register",
            Self::Change => "org.hotadd.change",
        }
    }

    /// What somebody wants who asks for it.
    pub(crate) const fn wish(self) -> &'static str {
        match self {
            Self::Look => "to look",
            Self::Register => "to register",
            Self::Change => "to change the partition",
        }
    }
}

/// Who may do what with a partition.
///
/// | | [`own`](Self::own), the default | [`machine`](Self::machine) |
/// |---|---|---|
/// | at a socket | its own user and root: everything | these and a group: everything; nobody else gets in |
/// | on a bus | the same | these: everything; everybody else may look, and asks polkit for more |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether it is that of a whole machine.
    machine: bool,
    group: Option<Members>,
}

/// The group whose members may do everything.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Members {
    name: String,
    gid: u32,
}

/// Why there is no such [`Access`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// Neither the system's name service knows it, nor is it the number of one.
    #[error("there is no group {0}; `groupadd --system {0}` makes one, or name another")]
    NoGroup(String),
    /// The name service failed, and whether there is such a group is not known.
    #[error("the group {name} cannot be looked up: {error}; its number would do")]
    Lookup {
        /// The group.
        name: String,
        /// What the name service said.
        error: io::Error,
    },
}

/// How far a peer that is let in is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It may do everything.
    Full,
    /// It may look, and for the rest the authority of its bus is asked. `member`: it would have been trusted if that has none.
    AsAuthorized { member: bool },
}

impl Access {
    /// The user that serves the partition, and root. They may do everything; nobody else gets in.
    #[must_use]
    pub const fn own() -> Self {
        Self { machine: false, group: None }
    }

    /// For the partition of a whole machine. The user that serves it, root and the members of this group may do everything, at
    /// a socket of mode 0660 that belongs to the group. On a bus, where the partition is called
    /// [`MACHINE_BUS_NAME`](crate::MACHINE_BUS_NAME), everybody may look; who wants to register or change it needs polkit's
    /// consent (`org.hotadd.register`, `org.hotadd.change`), or without polkit has to be in the group.
    ///
    /// The group is a name, as the system's name service (NSS) has it at this moment, or a number.
    ///
    /// # Errors
    /// If there is no such group, or that cannot be found out.
    pub fn machine(group: &str) -> Result<Self, AccessError> {
        // Of a number nobody needs to know. The highest one means "none" to the kernel.
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
            // Without a list of groups there is none.
            Ok(None) | Err(Errno::ENOENT | Errno::ESRCH) => {
                Err(AccessError::NoGroup(group.to_owned()))
            }
            Err(errno) => Err(AccessError::Lookup { name: group.to_owned(), error: errno.into() }),
        }
    }

    /// The same without a group: the user that serves it and root may do everything, and at a socket nobody else gets in.
    #[must_use]
    pub const fn machine_without_group() -> Self {
        Self { machine: true, group: None }
    }

    /// Whether it is that of a whole machine.
    #[must_use]
    pub const fn is_machine(&self) -> bool {
        self.machine
    }

    /// The group that a socket belongs to.
    pub(crate) const fn gid(&self) -> Option<u32> {
        match &self.group {
            Some(group) => Some(group.gid),
            None => None,
        }
    }

    /// Whether a peer gets in at a socket; if so it may do everything.
    pub(crate) fn admits(&self, peer: &Peer) -> bool {
        self.is_ours(peer) || self.is_member(peer)
    }

    /// What a peer on a bus may do; `None` if it does not get in.
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
    /// Those who may do everything.
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

    /// Somebody who is neither root nor, in all likelihood, us.
    const STRANGER: u32 = 3_000_000_001;

    fn peer(uid: u32, groups: &[u32]) -> Peer {
        Peer { uid, pid: Some(1), groups: groups.to_vec() }
    }

    #[test]
    fn a_partition_of_ones_own_is_for_its_user_and_root() {
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
    fn a_machines_is_for_its_group_too_and_on_a_bus_everybody_is_let_in() {
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
    fn without_a_group_a_machines_is_for_root_and_on_a_bus_everybody_may_ask_polkit() {
        let access = Access::machine_without_group();
        assert!(access.is_machine() && access.gid().is_none());
        let stranger = peer(STRANGER, &[0]);
        assert!(access.admits(&peer(0, &[])) && !access.admits(&stranger));
        assert_eq!(access.trust_on_bus(&stranger), Some(Trust::AsAuthorized { member: false }));
    }

    #[test]
    fn a_group_is_found_by_its_name_or_the_error_says_that_there_is_none() {
        assert_eq!(Access::machine("root").unwrap().gid(), Some(0), "every system has that one");
        let none = Access::machine("hotadd-no-such-group").unwrap_err();
        assert!(matches!(none, AccessError::NoGroup(_)), "{none}");
        assert!(none.to_string().contains("groupadd --system hotadd-no-such-group"), "{none}");
        for no_name in ["", "a\0b", "4294967295", "-1"] {
            Access::machine(no_name).expect_err("it is neither a name nor a number");
        }
    }
}
