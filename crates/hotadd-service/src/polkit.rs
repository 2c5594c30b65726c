//! [`Polkit`]: the questions to the authority of a bus whether a peer may do what it asks for.
//!
//! Nobody waits for an answer: a request rests here until it has come, and has its peer's refusal if it does not come in time.
//! Who the authority is, only the bus's daemon says, and only what comes from there counts as its answer. One that is not
//! running is started, if the bus knows how to.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use zbus::Message;
use zbus::message::{Flags, Type};
use zbus::names::UniqueName;
use zbus::zvariant::{DynamicType, Value};

use crate::authority::Question;
use crate::bus::{MOST_PARTIES, MOST_UNANSWERED, said, to_bus};
use crate::remote::presentable;
use crate::reply::Refusal;

/// Its name on a bus.
pub(crate) const NAME: &str = "org.freedesktop.PolicyKit1";
const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";
const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";

/// Flag of CheckAuthorization: people may be asked for a password.
const ALLOW_INTERACTION: u32 = 1;

/// How long it may take over an answer, if it asks nobody itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long people may take who are asked for a password.
const PATIENCE_WITH_PEOPLE: Duration = Duration::from_secs(120);

/// How many questions may be open because of one user.
const MOST_OF_USER: usize = 8;

/// How many questions may be open. With as many parties as there may be on such a bus it is what the bus forwards of one
/// connection's calls that are not answered: questions are not to keep a party from being asked.
const MOST: usize = MOST_UNANSWERED - MOST_PARTIES;

/// The error of a bus that knows nobody of a name, and nobody to start.
const NOBODY: &str = "org.freedesktop.DBus.Error.ServiceUnknown";

/// What an answer says: whether it may be done, whether it could be if people were asked, and more.
type Answer<'a> = ((bool, bool, HashMap<&'a str, &'a str>),);

/// The questions that are open on one bus.
#[derive(Default)]
pub(crate) struct Polkit {
    owner: Option<UniqueName<'static>>,
    /// The call by which it is found out who the owner is.
    search: Option<NonZeroU32>,
    /// What is asked as soon as that is known.
    unasked: Vec<Open>,
    /// What was asked of whom, by the serial of the call.
    asked: HashMap<NonZeroU32, (UniqueName<'static>, Open)>,
    next: u64,
}

/// A question that is open.
struct Open {
    question: Question,
    /// By which it can be cancelled.
    id: String,
    /// Who wants it, on the bus.
    subject: UniqueName<'static>,
    until: Instant,
}

impl Polkit {
    /// Takes a question of somebody on the bus. Returns what is to be sent.
    pub(crate) fn ask(
        &mut self,
        question: Question,
        subject: UniqueName<'static>,
        now: Instant,
    ) -> Vec<Message> {
        let open = || self.unasked.iter().chain(self.asked.values().map(|(_, open)| open));
        let of_user = open().filter(|open| open.question.peer.uid == question.peer.uid).count();
        if of_user >= MOST_OF_USER || open().count() >= MOST {
            let why = "too many requests wait until polkit allows them".to_owned();
            question.prepared.connection().core.refused(&question.peer, &why);
            question.prepared.refuse(Refusal::Limit(why));
            return Vec::new();
        }
        let patience = if question.is_interactive() { PATIENCE_WITH_PEOPLE } else { PATIENCE };
        self.next += 1;
        let id = format!("hotadd-{}", self.next);
        self.unasked.push(Open { question, id, subject, until: now + patience });
        self.go_on()
    }

    /// Asks what can be asked now, or finds out whom.
    fn go_on(&mut self) -> Vec<Message> {
        if self.unasked.is_empty() || self.search.is_some() {
            return Vec::new();
        }
        let Some(owner) = self.owner.clone() else {
            return self.search(to_bus("StartServiceByName", &(NAME, 0_u32)));
        };
        let mut calls = Vec::new();
        for open in std::mem::take(&mut self.unasked) {
            match check(&owner, &open) {
                Ok(call) => {
                    let serial = call.primary_header().serial_num();
                    self.asked.insert(serial, (owner.clone(), open));
                    calls.push(call);
                }
                Err(error) => open.undecided(&error.to_string()),
            }
        }
        calls
    }

    fn search(&mut self, call: zbus::Result<Message>) -> Vec<Message> {
        match call {
            Ok(call) => {
                self.search = Some(call.primary_header().serial_num());
                vec![call]
            }
            // Its arguments are fixed and small: it cannot fail.
            Err(error) => self.give_up(&error.to_string()),
        }
    }

    fn give_up(&mut self, why: &str) -> Vec<Message> {
        std::mem::take(&mut self.unasked).into_iter().for_each(|open| open.undecided(why));
        Vec::new()
    }

    /// The bus says who has the authority's name from now on.
    pub(crate) fn owned_by(&mut self, owner: Option<UniqueName<'static>>) {
        self.owner = owner;
    }

    /// Takes what the bus itself replies, if it is about this. Returns what is to be sent then.
    pub(crate) fn heard(&mut self, serial: NonZeroU32, reply: &Message) -> Option<Vec<Message>> {
        if let Some((_, open)) = self.asked.remove(&serial) {
            // That the question did not get there, or that there will be no answer.
            open.undecided(&said(reply));
            return Some(Vec::new());
        }
        if self.search != Some(serial) {
            return None;
        }
        self.search = None;
        if reply.message_type() != Type::MethodReturn {
            if reply.header().error_name().is_some_and(|name| name == NOBODY) {
                let unasked = std::mem::take(&mut self.unasked);
                unasked.into_iter().for_each(|open| open.question.by_membership());
                return Some(Vec::new());
            }
            return Some(self.give_up(&said(reply)));
        }
        // A number says that it was started; a name, who it is.
        let body = reply.body();
        Some(match body.deserialize::<UniqueName<'_>>() {
            Ok(owner) => {
                self.owner = Some(owner.to_owned());
                self.go_on()
            }
            Err(_) => self.search(to_bus("GetNameOwner", &NAME)),
        })
    }

    /// Takes an answer, if it is one: from whom it was asked, and to what was asked.
    pub(crate) fn answered(&mut self, sender: &UniqueName<'_>, reply: &Message) -> bool {
        let Some(serial) = reply.header().reply_serial() else { return false };
        if self.asked.get(&serial).is_none_or(|(owner, _)| owner != sender) {
            return false;
        }
        if let Some((_, open)) = self.asked.remove(&serial) {
            open.decide(reply);
        }
        true
    }

    /// When something is to be given up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let asked = self.asked.values().map(|(_, open)| open.until);
        asked.chain(self.unasked.iter().map(|open| open.until)).min()
    }

    /// Refuses what was not answered in time. Returns what is to be sent.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Message> {
        let mut calls = Vec::new();
        for (owner, open) in self.take(|open| open.until <= now) {
            calls.extend(owner.and_then(|owner| cancel(&owner, &open)));
            open.undecided("it did not answer in time");
        }
        calls
    }

    /// Forgets what somebody wanted who is gone. Returns what is to be sent.
    pub(crate) fn forget(&mut self, subject: &UniqueName<'_>) -> Vec<Message> {
        let gone = self.take(|open| open.subject == *subject);
        let cancelled = |(owner, open): (Option<_>, Open)| cancel(&owner?, &open);
        gone.into_iter().filter_map(cancelled).collect()
    }

    fn take(&mut self, which: impl Fn(&Open) -> bool) -> Vec<(Option<UniqueName<'static>>, Open)> {
        let asked = self.asked.extract_if(|_, (_, open)| which(open));
        let mut taken: Vec<_> = asked.map(|(_, (owner, open))| (Some(owner), open)).collect();
        taken.extend(self.unasked.extract_if(.., |open| which(open)).map(|open| (None, open)));
        taken
    }
}

impl Open {
    /// The authority has answered.
    fn decide(self, reply: &Message) {
        if reply.message_type() != Type::MethodReturn {
            return self.undecided(&presentable(&said(reply)));
        }
        let body = reply.body();
        let Ok(((authorized, challenge, _),)) = body.deserialize::<Answer<'_>>() else {
            return self.undecided("its answer is none");
        };
        if authorized {
            return self.question.prepared.begin();
        }
        let question = self.question;
        let (wish, action, peer) =
            (question.right.wish(), question.right.action(), question.peer.to_string());
        if challenge && !question.is_interactive() {
            let why = format!(
                "{wish} ({action}) takes a password from {peer}, and its call does not allow that it is asked for (flag \
                 ALLOW_INTERACTIVE_AUTHORIZATION)"
            );
            return question.deny("InteractiveAuthorizationRequired", why);
        }
        let why = format!(
            "polkit does not allow {peer} {wish} ({action}); `pkaction --verbose --action-id {action}` shows what it \
             takes, and a rule of polkit can change that"
        );
        question.deny("AccessDenied", why);
    }

    /// There is no answer, or none that can be understood. What is not allowed is refused.
    fn undecided(self, why: &str) {
        let (wish, action) = (self.question.right.wish(), self.question.right.action());
        let why = format!(
            "polkit could not be asked whether {wish} ({action}) is allowed: {why}; see that it runs, and that \
             org.hotadd.policy is installed"
        );
        self.question.deny("AccessDenied", why);
    }
}

fn check(owner: &UniqueName<'_>, open: &Open) -> zbus::Result<Message> {
    let name = HashMap::from([("name", Value::from(open.subject.as_str()))]);
    let flags = if open.question.is_interactive() { ALLOW_INTERACTION } else { 0 };
    let details = HashMap::<&str, &str>::new();
    let subject = ("system-bus-name", name);
    let action = open.question.right.action();
    call(
        owner,
        "CheckAuthorization",
        Flags::NoAutoStart,
        &(subject, action, details, flags, &open.id),
    )
}

fn cancel(owner: &UniqueName<'_>, open: &Open) -> Option<Message> {
    call(owner, "CancelCheckAuthorization", Flags::NoReplyExpected, &open.id).ok()
}

fn call<B: Serialize + DynamicType>(
    owner: &UniqueName<'_>,
    method: &str,
    flag: Flags,
    body: &B,
) -> zbus::Result<Message> {
    let call = Message::method_call(PATH, method)?.destination(owner.to_owned())?;
    call.interface(INTERFACE)?.with_flags(flag)?.build(body)
}
