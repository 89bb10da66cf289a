//! Every event on its way, and what has to become of it. An event is forgotten when it is answered
//! and all its recipients have it, so that memory does not grow with the length of a run.
//!
//! Order needs no list of events: each connection's cursors only grow, and every recipient sees an
//! event under the one cursor that its sender was told, so all of them see one order.

use std::collections::HashMap;

use game_realtime_loadgen::{clock::Micros, stamp::Stamp};

use super::{
    breaches::{Breach, Breaches},
    wire::{Content, Kind, Position},
};

/// How long an event on a living connection may stay unanswered.
const ANSWER_LIMIT: Micros = 30_000_000;

/// What is known of an event's fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits for its answer, or for being asked again.
    Asked,
    /// It is committed.
    Committed,
    /// Its answer is lost, or was that nobody knows. It may be committed.
    Unknown,
}

#[derive(Debug)]
struct Pending {
    content: Content,
    recipients: u128,
    /// Who has it, or is not owed it.
    has: u128,
    position: Option<Position>,
    fate: Fate,
    /// It was on its way when its connection ended, or was asked again: newer ones may overtake it.
    is_late: bool,
    /// It is asked again although it is committed.
    is_repeated: bool,
    sent: Micros,
}

impl Pending {
    fn is_settled(&self) -> bool {
        let everybody_has_it = self.recipients & !self.has == 0;
        everybody_has_it && self.fate != Fate::Asked && !self.is_repeated
    }
}

/// A member as a receiver.
#[derive(Debug, Clone, Default)]
struct Receiver {
    /// Where its stream stands.
    position: Position,
    /// Up to here it is owed nothing.
    floor: Position,
}

/// The events on their way of one crowd.
#[derive(Debug)]
pub(super) struct Ledger {
    pending: HashMap<(u32, u32), Pending>,
    receivers: Vec<Receiver>,
    /// By sender: the number of its next event.
    issued: Vec<u32>,
    /// By sender and receiver: one after the highest number that arrived.
    arrived: Vec<u32>,
    pub(super) breaches: Breaches,
}

impl Ledger {
    /// A ledger for `members` clients, at most 128.
    pub(super) fn new(members: u32) -> Self {
        assert!(members <= u128::BITS, "a member is a bit");
        let count = members as usize;
        Self {
            pending: HashMap::new(),
            receivers: vec![Receiver::default(); count],
            issued: vec![0; count],
            arrived: vec![0; count * count],
            breaches: Breaches::default(),
        }
    }

    /// The number of a sender's next event.
    pub(super) fn issue(&mut self, sender: u32) -> u32 {
        let Some(next) = self.issued.get_mut(sender as usize) else { return 0 };
        *next += 1;
        *next - 1
    }

    /// An event is sent for the first time.
    pub(super) fn send(&mut self, content: Content, now: Micros) {
        let sender = content.stamp.run;
        let recipients = match content.kind {
            Kind::Broadcast => u128::MAX >> (128 - self.receivers.len()),
            Kind::Message(target) => bit(sender) | bit(target),
            Kind::Purchase => bit(sender),
        };
        let pending = Pending {
            content,
            recipients,
            has: 0,
            position: None,
            fate: Fate::Asked,
            is_late: false,
            is_repeated: false,
            sent: now,
        };
        self.pending.insert((sender, content.stamp.event), pending);
    }

    /// An event that is to be sent again.
    pub(super) fn again(&mut self, sender: u32, number: u32, now: Micros) -> Option<Content> {
        let pending = self.pending.get_mut(&(sender, number))?;
        pending.sent = now;
        Some(pending.content)
    }

    /// When an event was sent, and whether its answer says how long an answer takes.
    pub(super) fn timing(&self, sender: u32, number: u32) -> Option<(Micros, Micros)> {
        let pending = self.pending.get(&(sender, number))?;
        let is_first = pending.fate == Fate::Asked && !pending.is_late;
        is_first.then_some((pending.content.stamp.due, pending.sent))
    }

    /// An event was answered as committed; if that is news, it may be repeated nevertheless. Returns
    /// whether it is news.
    pub(super) fn commit(
        &mut self,
        sender: u32,
        number: u32,
        (position, is_duplicate): (Position, bool),
        repeats: bool,
    ) -> bool {
        let Some(pending) = self.pending.get_mut(&(sender, number)) else { return false };
        let name = || format!("{number} of {sender} at {position:?}");
        let is_news = pending.fate != Fate::Committed;
        if !is_news && !is_duplicate {
            self.breaches.add(Breach::Twice, || format!("{} was committed again", name()));
        }
        if is_duplicate && is_news && !pending.is_late {
            self.breaches.add(Breach::Inconsistent, || format!("{} is no repeat", name()));
        }
        if pending.position.is_some_and(|known| known != position) {
            self.breaches
                .add(Breach::Inconsistent, || format!("{}, not {:?}", name(), pending.position));
        }
        pending.is_repeated = is_news && repeats;
        pending.fate = Fate::Committed;
        pending.position = Some(position);
        self.settle(sender, number);
        is_news
    }

    /// Whether an event may be asked again when its answer is lost.
    pub(super) fn has_request_id(&self, sender: u32, number: u32) -> bool {
        self.pending.get(&(sender, number)).is_some_and(|pending| pending.content.has_request_id)
    }

    /// The answer is lost; if the event is not asked again, its fate stays unknown.
    pub(super) fn miss_answer(&mut self, sender: u32, number: u32, is_asked_again: bool) {
        let Some(pending) = self.pending.get_mut(&(sender, number)) else { return };
        pending.is_late = true;
        if !is_asked_again {
            pending.is_repeated = false;
            if pending.fate == Fate::Asked {
                pending.fate = Fate::Unknown;
            }
            self.settle(sender, number);
        }
    }

    /// A receiver's stream begins anew after `floor`: all before is not owed.
    pub(super) fn begin(&mut self, receiver: u32, floor: Position) {
        let Some(at) = self.receivers.get_mut(receiver as usize) else { return };
        (at.floor, at.position) = (floor, floor);
        self.waive();
    }

    /// Where a receiver's stream stands.
    pub(super) fn position(&self, receiver: u32) -> Position {
        self.receivers.get(receiver as usize).map_or_else(Position::default, |at| at.position)
    }

    /// A receiver has got an event.
    pub(super) fn deliver(&mut self, receiver: u32, stamp: &Stamp, position: Position) {
        let (sender, number) = (stamp.run, stamp.event);
        let name = || format!("{number} of {sender} at {position:?} for {receiver}");
        let Some(at) = self.receivers.get_mut(receiver as usize) else { return };
        let (before, is_after) = (at.position, position > at.position);
        at.position = at.position.max(position);
        let Some(pending) = self.pending.get_mut(&(sender, number)) else {
            let was_sent = self.issued.get(sender as usize).is_some_and(|next| number < *next);
            let breach = if was_sent { Breach::Twice } else { Breach::Misdirected };
            return self.breaches.add(breach, name);
        };
        if pending.recipients & bit(receiver) == 0 {
            return self.breaches.add(Breach::Misdirected, name);
        }
        if pending.has & bit(receiver) != 0 {
            return self.breaches.add(Breach::Twice, name);
        }
        if !is_after {
            self.breaches.add(Breach::OutOfOrder, || format!("{} after {before:?}", name()));
        }
        if pending.position.is_some_and(|known| known != position) {
            self.breaches
                .add(Breach::Inconsistent, || format!("{}, not {:?}", name(), pending.position));
        }
        pending.position = Some(position);
        pending.has |= bit(receiver);
        let pair = sender as usize * self.receivers.len() + receiver as usize;
        if let Some(next) = self.arrived.get_mut(pair) {
            if number < *next && !pending.is_late {
                self.breaches.add(Breach::OutOfOrder, || format!("{} after {next}", name()));
            }
            *next = (*next).max(number + 1);
        }
        self.settle(sender, number);
    }

    /// Looks for events that their recipients have been past, and for answers that are overdue: who
    /// waits for those is returned.
    pub(super) fn sweep(&mut self, now: Micros) -> Vec<(u32, u32)> {
        self.waive();
        let mut overdue = Vec::new();
        for ((sender, number), pending) in &mut self.pending {
            if pending.fate == Fate::Asked && pending.sent + ANSWER_LIMIT < now {
                overdue.push((*sender, *number));
            }
            let Some(position) = pending.position else { continue };
            for (receiver, at) in (0..).zip(&self.receivers) {
                let is_owed = pending.recipients & !pending.has & bit(receiver) != 0;
                if is_owed && at.position > position {
                    pending.has |= bit(receiver);
                    self.breaches.add(Breach::Lost, || {
                        format!("{number} of {sender} at {position:?} for {receiver}")
                    });
                }
            }
        }
        self.pending.retain(|_, pending| !pending.is_settled());
        overdue
    }

    /// Events that somebody waits for.
    pub(super) fn unsettled(&self) -> usize {
        let waiting = self
            .pending
            .values()
            .filter(|pending| pending.fate != Fate::Unknown || pending.position.is_some());
        waiting.count()
    }

    /// The end: what has not arrived by now is lost. Returns how many events have an unknown fate.
    pub(super) fn close(&mut self) -> u64 {
        self.waive();
        let mut unknown = 0;
        for ((sender, number), pending) in self.pending.drain() {
            let name = || format!("{number} of {sender}, {:?}", pending.content.kind);
            match (pending.fate, pending.position) {
                (Fate::Unknown, None) => unknown += 1,
                (Fate::Asked, _) => self.breaches.add(Breach::Unanswered, name),
                (Fate::Committed | Fate::Unknown, position) => {
                    for receiver in (0..u128::BITS)
                        .filter(|it| pending.recipients & !pending.has & bit(*it) != 0)
                    {
                        self.breaches.add(Breach::Lost, || {
                            format!("{} at {position:?} for {receiver}, by the end", name())
                        });
                    }
                }
            }
        }
        unknown
    }

    /// Lets go of what receivers are not owed.
    fn waive(&mut self) {
        for pending in self.pending.values_mut() {
            let Some(position) = pending.position else { continue };
            for (receiver, at) in (0..).zip(&self.receivers) {
                if position <= at.floor {
                    pending.has |= bit(receiver);
                }
            }
        }
    }

    fn settle(&mut self, sender: u32, number: u32) {
        let key = (sender, number);
        if self.pending.get(&key).is_some_and(Pending::is_settled) {
            self.pending.remove(&key);
        }
    }
}

fn bit(member: u32) -> u128 {
    1_u128.checked_shl(member).unwrap_or_default()
}

#[cfg(test)]
mod tests;
