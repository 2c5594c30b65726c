//! The model: a partition with three boards of one place each, and the agents behind them.

use stateright::{Model, Property};

pub(crate) const AGENTS: usize = 3;
const ROUNDS: u8 = 2;
/// The highest bit of a word, as an interrupt changes it.
const HIGH: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Honest,
    /// It writes anything on its board, and does not wake the partition.
    Lying,
}

/// The rules of the boards. The wrong ones are there to see that the check finds them.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub(crate) struct Rules {
    pub(crate) serials_differ: bool,
    pub(crate) compares_serials: bool,
    pub(crate) refusal_wins: bool,
    pub(crate) death_interrupts: bool,
    pub(crate) interrupts_once: bool,
    pub(crate) checks_interrupts: bool,
}

impl Rules {
    pub(crate) const REAL: Self = Self {
        serials_differ: true,
        compares_serials: true,
        refusal_wins: true,
        death_interrupts: true,
        interrupts_once: true,
        checks_interrupts: true,
    };
}

#[derive(Clone, Debug)]
pub(crate) struct Consent {
    pub(crate) agents: [Kind; AGENTS],
    pub(crate) rules: Rules,
    /// How many refusals, deaths, deadlines and words of a liar there are at most.
    pub(crate) budget: [u8; 4],
}

/// A message from an agent on its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    Refused(u8),
    /// The answer to a call that went over the socket.
    Agreed(u8),
    Closed,
}

/// A call that an agent has not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    round: u8,
    on_board: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Agreed,
    Refused,
    Late,
    /// It was known to be gone, and is not a party any longer.
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Side {
    // On the board.
    word: u8,
    // The agent.
    is_dead: bool,
    calls: Vec<Asked>,
    /// The call that was refused and whose place is not free yet.
    to_skip: Option<u8>,
    /// The rounds to which it agreed, as bits. Of a lying agent: the serials that it wrote.
    agreed_to: u8,
    // On the way.
    messages: Vec<Message>,
    // The partition.
    /// The round that was posted last on the board, and whether it was interrupted.
    posted: u8,
    interrupted: bool,
    is_gone: bool,
    /// The rounds for which a reason is stored, and those for which an agreement came over the socket.
    reasons: u8,
    agreements: u8,
    /// Interrupts that follow a stored reason.
    interrupts: Vec<u8>,
    answer: Option<Answer>,
}

/// What the waiting thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Waiting {
    Look,
    Loaded(u8),
    /// It has asked for a reason, and sleeps if the answer is still this word.
    Unanswered(u8),
    Asleep,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    sides: [Side; AGENTS],
    round: u8,
    /// The agent whose answer is awaited; `AGENTS` between rounds.
    at: usize,
    waiting: Waiting,
    is_late: bool,
    started: u8,
    violation: Option<&'static str>,
    refusals: u8,
    deaths: u8,
    lates: u8,
    lies: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Begin,
    Wait,
    Deadline,
    /// The thread that reads the socket stores what came, and interrupts in a step of its own.
    Read(usize),
    Interrupt(usize),
    Agree(usize),
    Refuse(usize),
    Skip(usize),
    Die(usize),
    Write(usize, u8),
}

pub(crate) const NAMES: [&str; 5] =
    ["it starts", "it is refused", "one is late", "a late agreement", "a call over the socket"];
pub(crate) const CONSENT: &str = "A3: started only with all agreements";
pub(crate) const REFUSAL: &str = "a refusal that is known wins";
pub(crate) const ENDS: &str = "every wait ends";

impl Consent {
    fn serial(&self, round: u8) -> u8 {
        if self.rules.serials_differ { round } else { 1 }
    }

    /// Posts the next round's calls.
    fn begin(&self, w: &mut World) {
        w.round += 1;
        w.at = 0;
        (w.waiting, w.is_late) = (Waiting::Look, false);
        let serial = self.serial(w.round);
        for side in &mut w.sides {
            side.answer = side.is_gone.then_some(Answer::Gone);
            if side.is_gone {
                continue;
            }
            let answered = side.word & !HIGH;
            let free = side.posted == 0 || answered == self.serial(side.posted);
            let on_board = free && (answered != serial || !self.rules.serials_differ);
            if on_board {
                (side.posted, side.interrupted) = (w.round, false);
            }
            side.calls.push(Asked { round: w.round, on_board });
        }
        self.advance(w);
    }

    /// Goes on to the next agent without an answer, or ends the round.
    fn advance(&self, w: &mut World) {
        while w.at < AGENTS && w.sides[w.at].answer.is_some() {
            w.at += 1;
        }
        (w.waiting, w.is_late) = (Waiting::Look, false);
        let good = |side: &Side| matches!(side.answer, Some(Answer::Agreed | Answer::Gone));
        if w.at == AGENTS && w.sides.iter().all(good) {
            w.started |= 1 << w.round;
            for (side, kind) in w.sides.iter().zip(self.agents) {
                let key = if kind == Kind::Honest { w.round } else { self.serial(w.round) };
                if side.answer == Some(Answer::Agreed) && side.agreed_to & 1 << key == 0 {
                    w.violation = Some(CONSENT);
                }
            }
        }
    }

    /// One step of `protocol::wait`.
    fn wait(&self, w: &mut World) {
        let round = w.round;
        let side = &mut w.sides[w.at];
        match w.waiting {
            Waiting::Look => w.waiting = Waiting::Loaded(side.word),
            Waiting::Loaded(word) => {
                let on_board = side.posted == round;
                let refused = side.reasons & 1 << round != 0;
                let agreed = match self.rules.compares_serials {
                    _ if !on_board => side.agreements & 1 << round != 0,
                    true => word == self.serial(round),
                    false => word != 0,
                };
                side.answer = match (refused, agreed) {
                    (true, true) if !self.rules.refusal_wins => {
                        w.violation = Some(REFUSAL);
                        Some(Answer::Agreed)
                    }
                    (true, _) => Some(Answer::Refused),
                    (false, true) => Some(Answer::Agreed),
                    (false, false) => w.is_late.then_some(Answer::Late),
                };
                if side.answer.is_some() {
                    self.advance(w);
                } else {
                    w.waiting = Waiting::Unanswered(word);
                }
            }
            Waiting::Unanswered(word) if word == side.word => w.waiting = Waiting::Asleep,
            Waiting::Unanswered(_) => w.waiting = Waiting::Look,
            Waiting::Asleep => {}
        }
    }

    /// The reader of the socket: stores a reason or an agreement.
    fn read(&self, w: &mut World, n: usize) {
        let side = &mut w.sides[n];
        let interrupts = match side.messages.remove(0) {
            Message::Refused(round) => {
                side.reasons |= 1 << round;
                Some(round)
            }
            Message::Agreed(round) => {
                side.agreements |= 1 << round;
                // A call over the socket is awaited there: this wakes as well.
                Some(round)
            }
            Message::Closed => {
                side.is_gone = true;
                self.rules.death_interrupts.then(|| {
                    side.reasons |= 1 << w.round;
                    w.round
                })
            }
        };
        side.interrupts.extend(interrupts);
    }

    fn interrupt(&self, w: &mut World, n: usize) {
        let side = &mut w.sides[n];
        let round = side.interrupts.remove(0);
        let concerns = side.posted == round || !self.rules.checks_interrupts;
        if concerns && (!side.interrupted || !self.rules.interrupts_once) {
            side.interrupted = true;
            side.word ^= HIGH;
        }
        // A call over the socket is awaited there, and what comes there always wakes.
        let on_socket = side.posted != w.round && round == w.round;
        let wakes = w.waiting == Waiting::Asleep && concerns || on_socket;
        if w.at == n && wakes && !matches!(w.waiting, Waiting::Loaded(_)) {
            w.waiting = Waiting::Look;
        }
    }

    fn answer(w: &mut World, n: usize, word: u8) {
        w.sides[n].word = word;
        if w.at == n && w.waiting == Waiting::Asleep {
            w.waiting = Waiting::Look;
        }
    }
}

impl Model for Consent {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            sides: Default::default(),
            round: 0,
            at: AGENTS,
            waiting: Waiting::Look,
            is_late: false,
            started: 0,
            violation: None,
            refusals: self.budget[0],
            deaths: self.budget[1],
            lates: self.budget[2],
            lies: self.budget[3],
        }]
    }

    fn actions(&self, w: &World, actions: &mut Vec<Action>) {
        if w.violation.is_some() {
            return;
        }
        if w.at == AGENTS {
            actions.extend((w.round < ROUNDS).then_some(Action::Begin));
        } else {
            if w.waiting != Waiting::Asleep {
                actions.push(Action::Wait);
            }
            let may = w.lates > 0 || self.agents[w.at] == Kind::Lying;
            if may && matches!(w.waiting, Waiting::Asleep) {
                actions.push(Action::Deadline);
            }
        }
        for (n, (side, kind)) in w.sides.iter().zip(self.agents).enumerate() {
            if !side.messages.is_empty() {
                actions.push(Action::Read(n));
            }
            if !side.interrupts.is_empty() {
                actions.push(Action::Interrupt(n));
            }
            if side.is_dead {
                continue;
            }
            if w.deaths > 0 {
                actions.push(Action::Die(n));
            }
            if kind == Kind::Lying {
                let all = if w.lies > 0 { &[0, 1, 2, 1 | HIGH, 2 | HIGH][..] } else { &[] };
                let words = all.iter().copied();
                actions.extend(
                    words.filter(|word| *word != side.word).map(|word| Action::Write(n, word)),
                );
            } else if side.to_skip.is_some() {
                actions.push(Action::Skip(n));
            } else if !side.calls.is_empty() {
                actions.push(Action::Agree(n));
                actions.extend((w.refusals > 0).then_some(Action::Refuse(n)));
            }
        }
    }

    fn next_state(&self, w: &World, action: Action) -> Option<World> {
        let mut w = w.clone();
        match action {
            Action::Begin => self.begin(&mut w),
            Action::Wait => self.wait(&mut w),
            Action::Deadline => {
                // A liar may need one for each call.
                w.lates -= u8::from(self.agents[w.at] == Kind::Honest);
                (w.is_late, w.waiting) = (true, Waiting::Look);
            }
            Action::Read(n) => self.read(&mut w, n),
            Action::Interrupt(n) => self.interrupt(&mut w, n),
            Action::Agree(n) => {
                let call = w.sides[n].calls.remove(0);
                w.sides[n].agreed_to |= 1 << call.round;
                if call.on_board {
                    Self::answer(&mut w, n, self.serial(call.round));
                } else {
                    w.sides[n].messages.push(Message::Agreed(call.round));
                }
            }
            Action::Refuse(n) => {
                w.refusals -= 1;
                let side = &mut w.sides[n];
                let call = side.calls.remove(0);
                side.messages.push(Message::Refused(call.round));
                side.to_skip = call.on_board.then_some(call.round);
            }
            Action::Skip(n) => {
                let round = w.sides[n].to_skip.take()?;
                Self::answer(&mut w, n, self.serial(round) ^ HIGH);
            }
            Action::Die(n) => {
                w.deaths -= 1;
                let side = &mut w.sides[n];
                side.is_dead = true;
                side.calls.clear();
                side.messages.push(Message::Closed);
            }
            Action::Write(n, word) => {
                w.lies -= 1;
                w.sides[n].word = word;
                // The high bit is the partition's to change: an interrupt that changes it back makes the same word.
                w.sides[n].agreed_to |= 1 << (word & !HIGH);
            }
        }
        Some(w)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(CONSENT, |_, w: &World| w.violation != Some(CONSENT)),
            Property::always(REFUSAL, |_, w: &World| w.violation != Some(REFUSAL)),
            Property::always(ENDS, |model: &Self, w: &World| {
                let mut actions = Vec::new();
                model.actions(w, &mut actions);
                !actions.is_empty()
                    || w.violation.is_some()
                    || (w.at == AGENTS && w.round == ROUNDS)
            }),
            Property::sometimes(NAMES[0], |_, w: &World| w.started != 0),
            Property::sometimes(NAMES[1], |model: &Self, w: &World| {
                model.budget[..2] == [0, 0]
                    || w.sides.iter().any(|side| side.answer == Some(Answer::Refused))
            }),
            Property::sometimes(NAMES[2], |model: &Self, w: &World| {
                model.budget[2] == 0 || w.sides.iter().any(|side| side.answer == Some(Answer::Late))
            }),
            Property::sometimes(NAMES[3], |model: &Self, w: &World| {
                // The answer of the first round comes in the second.
                model.budget[2] == 0
                    || w.round == 2
                        && w.sides
                            .iter()
                            .any(|s| s.word == 1 && s.agreed_to & 2 != 0 && s.posted == 1)
            }),
            Property::sometimes(NAMES[4], |model: &Self, w: &World| {
                model.budget[2] == 0 || w.sides.iter().any(|side| side.agreements != 0)
            }),
        ]
    }
}
