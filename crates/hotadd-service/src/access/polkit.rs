//! [`Polkit`]: asks the authority of a bus whether a peer's requests are allowed.
//!
//! No thread waits for an answer. A request is kept here until the answer arrives. If the answer does not arrive in time, the
//! request is refused. Only the bus daemon says which peer the authority is, and only messages of that peer count as its
//! answers. If the authority is not running, it is started, if the bus can start it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use hotadd_wire::bus::{self, PeerName, error_text};
use hotadd_wire::freedesktop::{POLKIT, SERVICE_UNKNOWN};
use hotadd_wire::{Kind, Message, MessageError, RequestError, polkit};
use tokio::time::Instant;

use crate::access::authority::Question;
use crate::access::policy::Access;
use crate::object::session::MOST_PARTIES;
use crate::text::presentable;

/// The number of unanswered calls of one connection that the system bus forwards (`max_replies_per_connection`, unless it is
/// configured otherwise). It would refuse more calls in the middle of a transaction.
const MOST_UNANSWERED: usize = 128;

/// The time limit of an answer for which no user is asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time limit of an answer for which a user may be asked for a password.
const PATIENCE_WITH_PEOPLE: Duration = Duration::from_secs(120);

/// The maximum number of open questions of one user.
const MOST_OF_USER: usize = 8;

/// The maximum number of open questions. Together with the maximum number of parties on such a bus, this is the number
/// of unanswered calls of one connection that the bus forwards: questions must not keep a party from being asked.
const MOST: usize = MOST_UNANSWERED - MOST_PARTIES;

/// The open questions of one bus.
pub(crate) struct Polkit {
    /// The users that may do everything, for messages.
    members: String,
    owner: Option<PeerName>,
    /// The call that looks up the owner.
    search: Option<NonZeroU32>,
    /// The questions to ask when the owner is known.
    unasked: Vec<Open>,
    /// The questions that were asked and whom, by the serial of the call.
    asked: HashMap<NonZeroU32, (PeerName, Open)>,
    next: u64,
}

/// An open question.
struct Open {
    question: Question,
    /// The id by which the question can be cancelled.
    id: String,
    until: Instant,
}

impl Polkit {
    pub(crate) fn new(access: &Access) -> Self {
        let (unasked, asked) = (Vec::new(), HashMap::new());
        Self { members: access.to_string(), owner: None, search: None, unasked, asked, next: 0 }
    }

    /// Takes a question about a peer on the bus. Returns the messages to send.
    pub(crate) fn ask(&mut self, question: Question, now: Instant) -> Vec<Message> {
        let open = || self.unasked.iter().chain(self.asked.values().map(|(_, open)| open));
        let user = question.claim.peer.uid;
        let of_user = open().filter(|open| open.question.claim.peer.uid == user).count();
        if of_user >= MOST_OF_USER || open().count() >= MOST {
            let why = "too many requests are waiting for polkit".to_owned();
            question.refuse(RequestError::Limit(why));
            return Vec::new();
        }
        let patience = if question.interactive { PATIENCE_WITH_PEOPLE } else { PATIENCE };
        self.next += 1;
        let id = format!("hotadd-{}", self.next);
        self.unasked.push(Open { question, id, until: now + patience });
        self.go_on()
    }

    /// Sends the unasked questions, or looks up the owner first.
    fn go_on(&mut self) -> Vec<Message> {
        if self.unasked.is_empty() || self.search.is_some() {
            return Vec::new();
        }
        let Some(owner) = self.owner.clone() else {
            return self.search(bus::call("StartServiceByName", &(POLKIT, 0_u32)));
        };
        let mut calls = Vec::new();
        for open in std::mem::take(&mut self.unasked) {
            match check(&owner, &open) {
                Ok(call) => {
                    let serial = call.serial();
                    self.asked.insert(serial, (owner.clone(), open));
                    calls.push(call);
                }
                Err(error) => open.undecided(&error.to_string()),
            }
        }
        calls
    }

    fn search(&mut self, call: Result<Message, MessageError>) -> Vec<Message> {
        match call {
            Ok(call) => {
                self.search = Some(call.serial());
                vec![call]
            }
            // Its arguments are fixed and small, so this cannot fail.
            Err(error) => self.give_up(&error.to_string()),
        }
    }

    fn give_up(&mut self, why: &str) -> Vec<Message> {
        std::mem::take(&mut self.unasked).into_iter().for_each(|open| open.undecided(why));
        Vec::new()
    }

    /// The bus reports the new owner of the authority's name.
    pub(crate) fn owned_by(&mut self, owner: Option<PeerName>) {
        self.owner = owner;
    }

    /// Takes a reply of the bus itself, if it concerns polkit. Returns the messages to send.
    pub(crate) fn heard(&mut self, serial: NonZeroU32, reply: &Message) -> Option<Vec<Message>> {
        if let Some((_, open)) = self.asked.remove(&serial) {
            // The question was not delivered, or there will be no answer.
            open.undecided(&error_text(reply));
            return Some(Vec::new());
        }
        if self.search != Some(serial) {
            return None;
        }
        self.search = None;
        if reply.kind() != Kind::Reply {
            if reply.head().error_name() == SERVICE_UNKNOWN {
                let unasked = std::mem::take(&mut self.unasked);
                unasked.into_iter().for_each(|open| open.by_membership(&self.members));
                return Some(Vec::new());
            }
            return Some(self.give_up(&error_text(reply)));
        }
        // A number means that the service was started; a name is its owner.
        let owner = reply.arguments::<String>().ok().and_then(|name| PeerName::parse(&name));
        Some(match owner {
            Some(owner) => {
                self.owner = Some(owner);
                self.go_on()
            }
            None => self.search(bus::call("GetNameOwner", &POLKIT)),
        })
    }

    /// Takes an answer. Returns true if it answers a question, and comes from the peer that was asked.
    pub(crate) fn answered(&mut self, sender: &PeerName, reply: &Message) -> bool {
        let Some(serial) = reply.reply_to() else { return false };
        if self.asked.get(&serial).is_none_or(|(owner, _)| owner != sender) {
            return false;
        }
        if let Some((_, open)) = self.asked.remove(&serial) {
            open.decide(reply);
        }
        true
    }

    /// The earliest time at which a question expires.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let asked = self.asked.values().map(|(_, open)| open.until);
        asked.chain(self.unasked.iter().map(|open| open.until)).min()
    }

    /// Refuses the requests whose questions were not answered in time. Returns the messages to send.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Message> {
        let mut calls = Vec::new();
        for (owner, open) in self.take(|open| open.until <= now) {
            calls.extend(owner.and_then(|owner| cancel(&owner, &open)));
            open.undecided("it did not answer in time");
        }
        calls
    }

    /// Drops the questions about a peer that is gone. Returns the messages to send.
    pub(crate) fn forget(&mut self, subject: &PeerName) -> Vec<Message> {
        let gone = self.take(|open| open.question.claim.asker.0 == *subject);
        let cancelled = |(owner, open): (Option<_>, Open)| cancel(&owner?, &open);
        gone.into_iter().filter_map(cancelled).collect()
    }

    fn take(&mut self, which: impl Fn(&Open) -> bool) -> Vec<(Option<PeerName>, Open)> {
        let asked = self.asked.extract_if(|_, (_, open)| which(open));
        let mut taken: Vec<_> = asked.map(|(_, (owner, open))| (Some(owner), open)).collect();
        taken.extend(self.unasked.extract_if(.., |open| which(open)).map(|open| (None, open)));
        taken
    }
}

impl Open {
    /// Evaluates the authority's answer.
    fn decide(self, reply: &Message) {
        if reply.kind() != Kind::Reply {
            return self.undecided(&presentable(&error_text(reply)));
        }
        let Some((authorized, challenge)) = polkit::answer(reply) else {
            return self.undecided("its answer is invalid");
        };
        if authorized {
            return self.question.grant();
        }
        let question = self.question;
        let (wish, action, peer) =
            (question.right.wish(), question.right.action(), question.claim.peer.to_string());
        if challenge && !question.interactive {
            let why = format!(
                "{wish} ({action}) needs a password from {peer}, but the call does not permit a prompt \
                 (flag ALLOW_INTERACTIVE_AUTHORIZATION)"
            );
            return question.deny("InteractiveAuthorizationRequired", why);
        }
        let why = format!(
            "polkit does not allow {peer} {wish} ({action}); `pkaction --verbose --action-id {action}` \
             shows what is required, and a polkit rule can change it"
        );
        question.deny("AccessDenied", why);
    }

    /// There is no authority: membership of the group decides.
    fn by_membership(self, members: &str) {
        if self.question.claim.member {
            return self.question.grant();
        }
        let (wish, action) = (self.question.right.wish(), self.question.right.action());
        let why = format!(
            "{wish} ({action}) is allowed only for {members}, because there is no polkit on this bus that \
             could allow it for others"
        );
        self.question.deny("AccessDenied", why);
    }

    /// There is no valid answer. A request that is not allowed is refused.
    fn undecided(self, why: &str) {
        let (wish, action) = (self.question.right.wish(), self.question.right.action());
        let why = format!(
            "polkit could not decide whether {wish} ({action}) is allowed: {why}; check that polkit runs \
             and that org.hotadd.policy is installed"
        );
        self.question.deny("AccessDenied", why);
    }
}

fn check(owner: &PeerName, Open { question, id, .. }: &Open) -> Result<Message, MessageError> {
    let (subject, action) = (&question.claim.asker.0, question.right.action());
    polkit::check(owner, subject, action, question.interactive, id)
}

fn cancel(owner: &PeerName, open: &Open) -> Option<Message> {
    polkit::cancel(owner, &open.id).ok()
}
