//! What a crowd's connections see, and what follows from it: the ledger is told, the tally counts, and
//! the members learn what to do next.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use game_realtime_loadgen::{
    clock::{Clock, Micros},
    connection::{Ended, Stage},
    stamp::Stamp,
    swarm::Listener,
};

use super::{
    breaches::Breach,
    calm::Calm,
    ledger::Ledger,
    member::Member,
    tally::{Answered, Tally},
    wire::{Answer, Position, cursor_in, recovery_in},
};

/// One in this many of the events with a `request_id` is asked again although it was answered.
const REPEATED_EACH: u32 = 8;

/// What all crowds share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) calm: Calm,
    pub(super) tally: Arc<Mutex<Tally>>,
    /// Events that all crowds have committed.
    pub(super) committed: Arc<AtomicU64>,
    /// How many events the log holds in any case.
    pub(super) held_for_sure: u64,
}

impl Shared {
    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The listener of a crowd.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) shared: Shared,
    pub(super) ledger: Ledger,
    pub(super) members: Vec<Member>,
    /// Whether a `request_id` outlives its connection.
    pub(super) has_users: bool,
}

impl Watch {
    /// The member whose connection in use this is.
    fn member_at(&mut self, connection: u32) -> Option<(u32, &mut Member)> {
        let count = u32::try_from(self.members.len()).ok().filter(|count| *count > 0)?;
        let number = connection % count;
        let member = self.members.get_mut(number as usize)?;
        (member.connection() == connection).then_some((number, member))
    }

    fn committed(&self) -> u64 {
        self.shared.committed.load(Ordering::Relaxed)
    }

    /// A member asks again, or its event's fate stays unknown.
    fn miss_answer(&mut self, number: u32, event: u32) {
        let again = self.has_users && self.ledger.has_request_id(number, event);
        self.ledger.miss_answer(number, event, again);
        if again && let Some(member) = self.members.get_mut(number as usize) {
            member.ask_again(event);
        }
    }

    fn commit(&mut self, number: u32, event: u32, position: Position, is_duplicate: bool) {
        let repeats = !is_duplicate
            && event.is_multiple_of(REPEATED_EACH)
            && self.ledger.has_request_id(number, event);
        if !self.ledger.commit(number, event, (position, is_duplicate), repeats) {
            self.shared.tally().repeats += 1;
            return;
        }
        self.shared.committed.fetch_add(1, Ordering::Relaxed);
        self.shared.tally().committed += 1;
        if repeats && let Some(member) = self.members.get_mut(number as usize) {
            member.ask_again(event);
        }
    }

    /// A member is back; with what it was told.
    fn check_recovery(&mut self, number: u32, ready: &[u8]) {
        let Some(position) = cursor_in(ready).and_then(Position::of) else {
            return self.ledger.breaches.add(Breach::FalseGap, || "a ready without cursor".into());
        };
        let before = self.ledger.position(number);
        let missed =
            self.committed() - self.members.get(number as usize).map_or(0, |member| member.seen_at);
        let (status, fault) = match recovery_in(ready) {
            Some(b"recovered") => {
                self.shared.tally().recovered += 1;
                ("recovered", position != before)
            }
            Some(b"gap") => {
                self.shared.tally().gaps += 1;
                self.ledger.begin(number, position);
                ("gap", missed < self.shared.held_for_sure)
            }
            Some(b"fresh") => {
                self.ledger.begin(number, position);
                ("fresh", before != Position::default())
            }
            Some(_) | None => ("no status", true),
        };
        if fault {
            self.ledger.breaches.add(Breach::FalseGap, || {
                format!(
                    "{number} came with {before:?}, {missed} events later, and is {status} at \
                     {position:?}"
                )
            });
        }
    }
}

impl Listener for Watch {
    fn live(&mut self, connection: u32, _due: Micros, _now: Micros, ready: &[u8]) {
        let committed = self.committed();
        let Some((number, member)) = self.member_at(connection) else { return };
        member.become_live();
        self.check_recovery(number, ready);
        let Some(member) = self.members.get_mut(number as usize) else { return };
        if let Some(cursor) = cursor_in(ready) {
            member.cursor.clear();
            member.cursor.extend(cursor);
        }
        member.seen_at = member.seen_at.max(committed);
    }

    fn event(&mut self, connection: u32, _now: Micros, name: &[u8], arguments: &[u8]) {
        let committed = self.committed();
        let Some((number, member)) = self.member_at(connection) else { return };
        let cursor = cursor_in(arguments);
        let (Some(stamp), Some(cursor), Some(position)) =
            (Stamp::find(arguments), cursor, cursor.and_then(Position::of))
        else {
            return self.ledger.breaches.add(Breach::Misdirected, || {
                let text = String::from_utf8_lossy;
                format!("{} {} at {number}", text(name), text(arguments))
            });
        };
        member.cursor.clear();
        member.cursor.extend(cursor);
        member.seen_at = committed;
        self.shared.tally().deliveries += 1;
        self.ledger.deliver(number, &stamp, position);
    }

    fn answer(&mut self, connection: u32, now: Micros, event: u32, arguments: &[u8]) {
        let Some((number, member)) = self.member_at(connection) else { return };
        let is_quiet = member.is_quiet();
        if !member.answered(event) {
            return self
                .ledger
                .breaches
                .add(Breach::RefusedForGood, || format!("{event} of {number} was answered again"));
        }
        match Answer::read(arguments) {
            Answer::Committed { position, is_duplicate } => {
                if let Some((due, sent)) = self.ledger.timing(number, event) {
                    let is_calm = self.shared.calm.has_lasted_since(sent);
                    let took = now.saturating_sub(if is_quiet { due } else { sent });
                    self.shared.tally().record(Answered { is_quiet, is_calm, now, took });
                }
                self.commit(number, event, position, is_duplicate);
            }
            Answer::Refused { code, is_retryable } => {
                let is_calm = self.shared.calm.is_now();
                self.shared.tally().refuse(code, is_calm);
                if let Some(member) = self.members.get_mut(number as usize) {
                    member.pause(now);
                }
                if is_retryable {
                    self.miss_answer(number, event);
                } else {
                    self.ledger.miss_answer(number, event, false);
                    let why = || format!("{event} of {number}: {code}");
                    self.ledger.breaches.add(Breach::RefusedForGood, why);
                }
            }
            Answer::Nonsense => {
                self.ledger.miss_answer(number, event, false);
                self.ledger.breaches.add(Breach::RefusedForGood, || {
                    format!("{event} of {number}: {}", String::from_utf8_lossy(arguments))
                });
            }
        }
    }

    fn ended(&mut self, connection: u32, was: Stage, why: &Ended) {
        let now = self.shared.clock.now();
        let Some((number, member)) = self.member_at(connection) else { return };
        let lost = member.leave(now);
        if self.shared.calm.is_now() {
            self.shared.tally().cut(format!("{was:?}: {why}"));
        }
        for event in lost {
            self.miss_answer(number, event);
        }
    }

    fn cursor(&self, connection: u32) -> &[u8] {
        let count = self.members.len().max(1);
        self.members.get(connection as usize % count).map_or(b"", |member| &member.cursor)
    }
}
