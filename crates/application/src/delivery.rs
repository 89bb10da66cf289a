//! From the feed to the connections: who gets which event, in which order, exactly once.
//!
//! [`Delivery`] is the pure part: it decides. `task` owns one and feeds it, by a `handle` for those
//! who want something of it, so nothing is locked: joining, publishing and leaving happen one after
//! the other. `follower` keeps the feed open, `catch_up` brings connections that are behind up to the
//! present at their own pace, `kicks` ends those that operators want ended.

mod backoff;
mod catch_up;
mod clock_skew;
mod deliveries;
mod follower;
mod handle;
mod isolation;
mod kicked;
mod kicks;
mod log_end;
mod outgoing;
mod roster;
mod task;

use std::sync::Arc;

use game_realtime_domain::{Connection, ConnectionId, Cursor, Position, Route, Timestamp};

pub use handle::{DeliveryGone, DeliveryHandle};
pub use kicks::start_kicks;
pub(crate) use outgoing::Lineage;
pub use outgoing::{OutgoingEvent, PacketFormat};
pub use task::{DeliveryConfig, start, start_seeded};

use crate::{
    Timeline, TimelineLimits,
    ports::{ClientPush, CloseReason, FeedUpdate, History, PushOutcome, SpanKind},
    trace::Traces,
};
use deliveries::Deliveries;
use kicked::Kicked;
use roster::{Place, Roster};

/// Decides which connection gets which event.
///
/// Every connection is either *live*: it has been handed everything up to the timeline's head and
/// gets new events as they come; or *behind* at a position: it gets nothing until it has been
/// advanced to the head. It becomes live in the very step that finds nothing left to hand it, so
/// there is neither a gap nor a repetition between the two.
pub struct Delivery {
    timeline: Timeline,
    limits: TimelineLimits,
    roster: Roster,
    kicked: Kicked,
    deliveries: Deliveries,
    traces: Traces,
}

/// How a connection came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// It brought no cursor.
    Fresh,
    /// It will get everything it missed: so many events.
    Recovered(usize),
    /// What it missed cannot be proven complete; it gets nothing of it.
    Gap,
}

/// From where a connection that joins wants to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// From now.
    Fresh,
    /// From where it came to.
    From(Cursor),
    /// From a place that nobody can know.
    Malformed,
}

impl Resume {
    /// Reads the cursor that a client brought, if it brought one.
    #[must_use]
    pub fn parse(cursor: Option<&str>) -> Self {
        cursor.map_or(Self::Fresh, |cursor| cursor.parse().map_or(Self::Malformed, Self::From))
    }

    /// Whether a log that ends at `end` may have given this place out.
    fn is_within(&self, end: &Cursor) -> bool {
        match self {
            Self::Fresh => true,
            Self::From(cursor) => cursor.epoch == end.epoch && cursor.position <= end.position,
            Self::Malformed => false,
        }
    }
}

/// The answer to a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// The connection is a member, behind at the cursor.
    At {
        /// From where it gets everything.
        cursor: Cursor,
        /// What became of the cursor it brought.
        recovery: Recovery,
    },
    /// Its cursor is ahead of what this node has seen. Nothing was joined: try again soon, or at
    /// another node.
    Ahead,
    /// It was kicked before it came so far. Nothing was joined.
    Kicked,
}

/// The next step of a connection that is behind.
#[derive(Debug)]
pub enum Advance {
    /// It has to be handed these, in order, before it is advanced again. None if none were asked for.
    Hand(Vec<Arc<OutgoingEvent>>),
    /// It is live: new events come by themselves.
    Live,
    /// What it has to be handed is no longer there.
    Lost,
    /// It is not a member.
    Unknown,
}

impl Delivery {
    /// Starts with what the store remembers and no connections.
    #[must_use]
    pub fn new(history: History, limits: TimelineLimits, now: Timestamp) -> Self {
        Self {
            timeline: Timeline::new(history, limits, now),
            limits,
            roster: Roster::default(),
            kicked: Kicked::default(),
            deliveries: Deliveries::new(),
            traces: Traces::off(),
        }
    }

    /// The same, with the deliveries of traced events as steps of their traces.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// Takes new events from the feed and pushes each to the live connections it concerns.
    /// Returns the connections that fell behind: they have to be advanced.
    pub fn publish(&mut self, update: FeedUpdate, now: Timestamp) -> Vec<Behind> {
        let mut behind = Vec::new();
        // Several events make one write per connection.
        let mut queued = Vec::new();
        let several = update.events.len() > 1;
        // They end when everything is written.
        let mut spans = Vec::new();
        for event in update.events {
            let before = self.timeline.head();
            let Some(outgoing) = self.timeline.append(event, now) else { continue };
            let trace = outgoing.event().trace;
            let mut span = self.traces.resume(trace, "delivery.event.deliver", SpanKind::Consumer);
            let mut delivered = 0;
            let mut refused = Vec::new();
            self.roster.for_each_live(&outgoing.event().route, |id, push| {
                let outcome = if several { push.queue(&outgoing) } else { push.push(&outgoing) };
                match outcome {
                    PushOutcome::Taken => delivered += 1,
                    PushOutcome::Full => {
                        push.flush();
                        refused.push((id, Arc::clone(push)));
                    }
                    // Its session notices too, and leaves.
                    PushOutcome::Gone => {}
                }
            });
            if span.is_recording() {
                span.set("event.id", outgoing.event().event.id.0);
                span.set("event.type", outgoing.event().event.payload.event_type.as_str());
                span.set("delivery.recipients", delivered);
                span.set("delivery.behind", u64::try_from(refused.len()).unwrap_or(u64::MAX));
                spans.push(span);
            }
            for (id, push) in refused {
                self.roster.fall_behind(id, before);
                behind.push(Behind { id, push });
            }
            self.deliveries.add(outgoing.event().event.payload.event_type, delivered);
            let route = &outgoing.event().route;
            let again = matches!(route, Route::Namespace(_)) && queued.contains(route);
            if several && delivered > 0 && !again {
                queued.push(route.clone());
            }
        }
        for route in &queued {
            self.roster.for_each_live(route, |_, push| push.flush());
        }
        self.timeline.advance_to(update.head);
        self.timeline.trim(now);
        behind
    }

    /// Makes a connection a member, behind at the position it resumes from or at the head.
    pub fn join(
        &mut self,
        connection: Connection,
        push: Arc<dyn ClientPush>,
        resume: &Resume,
    ) -> Joined {
        if self.kicked.remove(connection.id) {
            return Joined::Kicked;
        }
        let (position, recovery) = match resume {
            Resume::Fresh => (self.timeline.head(), Recovery::Fresh),
            Resume::Malformed => (self.timeline.head(), Recovery::Gap),
            Resume::From(cursor)
                if cursor.epoch != *self.timeline.epoch()
                    || !self.timeline.reaches(cursor.position) =>
            {
                (self.timeline.head(), Recovery::Gap)
            }
            Resume::From(cursor) if cursor.position > self.timeline.head() => return Joined::Ahead,
            Resume::From(cursor) => {
                let missed = self.timeline.missed(&connection, cursor.position).number();
                (cursor.position, Recovery::Recovered(missed))
            }
        };
        self.roster.add(connection, push, position);
        Joined::At { cursor: self.timeline.cursor(position), recovery }
    }

    /// Takes a connection that is behind one step further: at most `limit` events.
    pub fn advance(&mut self, id: ConnectionId, limit: usize) -> Advance {
        let Some(Place { connection, behind }) = self.roster.place(id) else {
            return Advance::Unknown;
        };
        let Some(position) = behind else { return Advance::Live };
        if !self.timeline.reaches(position) {
            return Advance::Lost;
        }
        let mut missed = self.timeline.missed(connection, position);
        let next: Vec<_> = missed.by_ref().take(limit).cloned().collect();
        let more = missed.next().is_some();
        if next.is_empty() && !more {
            self.roster.go_live(id);
            return Advance::Live;
        }
        let last = next.last().map_or(position, |event| event.position());
        self.roster.fall_behind(id, if more { last } else { self.timeline.head() });
        Advance::Hand(next)
    }

    /// Forgets a connection.
    pub fn leave(&mut self, id: ConnectionId) {
        self.roster.remove(id);
        self.kicked.remove(id);
    }

    /// Ends a connection for good: now if it is a member, else when it joins.
    pub fn kick(&mut self, id: ConnectionId) {
        match self.roster.push_of(id) {
            Some(push) => {
                self.roster.remove(id);
                push.close(CloseReason::Kicked);
            }
            None => self.kicked.add(id),
        }
    }

    /// Starts anew from another history, because events were lost. Every connection is closed and
    /// forgotten: each comes back and is told of its gap.
    pub fn restart(&mut self, history: History, now: Timestamp) {
        self.timeline = Timeline::new(history, self.limits, now);
        for push in self.roster.clear() {
            push.close(CloseReason::HistoryLost);
        }
    }

    /// Ends every connection.
    pub fn close_all(&mut self, reason: CloseReason) {
        for push in self.roster.clear() {
            push.close(reason);
        }
    }

    /// Ends some connections, and says how many are left.
    pub fn close_some(&mut self, most: usize, reason: CloseReason) -> usize {
        for push in self.roster.take(most) {
            push.close(reason);
        }
        self.roster.len()
    }

    /// How many connections have not been handed everything yet.
    #[must_use]
    pub fn behind(&self) -> usize {
        self.roster.behind()
    }

    /// Everything up to here has been published.
    #[must_use]
    pub fn head(&self) -> Position {
        self.timeline.head()
    }

    /// The recent events.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Whether a connection is a member.
    #[must_use]
    pub fn is_member(&self, id: ConnectionId) -> bool {
        self.roster.place(id).is_some()
    }

    /// How a member's connection can be reached.
    #[must_use]
    pub fn push_of(&self, id: ConnectionId) -> Option<Arc<dyn ClientPush>> {
        self.roster.push_of(id)
    }
}

/// A connection that could not take an event at once.
pub struct Behind {
    /// Which.
    pub id: ConnectionId,
    /// How it is reached.
    pub push: Arc<dyn ClientPush>,
}
