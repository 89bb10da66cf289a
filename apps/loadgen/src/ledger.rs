//! What was sent, who has to receive it, and who has: every event is accounted for.

use crate::{clock::Micros, dialect::Order, receiver::Receiver, stamp::Stamp};

/// Stands for no number.
pub(crate) const NONE: u32 = u32::MAX;

/// Whom an event concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Everybody.
    All,
    /// The sender's connections and those of another user.
    User(u32),
    /// The sender's connections.
    Sender,
}

/// What became of an event at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Not answered yet.
    Unknown,
    /// Taken.
    Accepted,
    /// Refused.
    Refused,
}

/// One event. It is on one channel or two: that of everybody, or those of users.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) due: Micros,
    /// The connection that has sent it.
    pub(crate) sender: u32,
    pub(crate) fate: Fate,
    /// Deliveries that are still to come.
    remaining: u32,
    places: [Place; 2],
}

impl Event {
    /// Whether it was answered and has arrived wherever it has to.
    pub(crate) fn is_settled(&self) -> bool {
        self.fate != Fate::Unknown && self.remaining == 0
    }
}

/// Where an event is on a channel.
#[derive(Debug, Clone, Copy)]
struct Place {
    channel: u32,
    /// Its number on the channel, in the order sent.
    number: u32,
    /// Its number on the channel, in the order in which the first receiver got it.
    position: u32,
}

const NOWHERE: Place = Place { channel: NONE, number: NONE, position: NONE };

/// The channel of everybody; that of user `n` is `n + 1`.
const EVERYBODY: u32 = 0;

/// Events that have the same receivers.
#[derive(Debug, Default)]
struct Channel {
    receivers: u32,
    /// Its events, by number.
    events: Vec<u32>,
    /// Events that somebody has.
    arrived: u32,
}

/// What a delivery was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The event came, for the first time, to somebody whom it concerns.
    Fresh {
        /// Whether it came after one that it should have come before.
        out_of_order: bool,
    },
    /// The event came again.
    Doubled,
    /// The event concerns somebody else.
    Misdirected,
    /// There is no such event.
    Unknown,
}

/// What is left of a run when it is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    /// Neither of them.
    pub(crate) unanswered: u64,
    /// Deliveries that there had to be, to those who are still connected.
    pub(crate) expected: u64,
    /// Those of them that are missing.
    pub(crate) lost: u64,
}

/// All events of a run, and all who may receive them.
#[derive(Debug)]
pub(crate) struct Ledger {
    order: Order,
    events: Vec<Event>,
    channels: Vec<Channel>,
    receivers: Vec<Receiver>,
    /// By connection: its last event that arrived first somewhere, on everybody's channel and its own.
    first_arrivals: Vec<[u32; 2]>,
    /// By receiver and sender, if the order of each sender is promised: the last event.
    last_of_sender: Vec<u32>,
    unanswered: u64,
    outstanding: u64,
}

impl Ledger {
    /// For so many connections, of so many users in turn.
    pub(crate) fn new(order: Order, connections: u32, users: u32) -> Self {
        let mut channels: Vec<Channel> = Vec::new();
        channels.resize_with(users as usize + 1, Channel::default);
        let pairs = match order {
            Order::Sender => connections as usize * connections as usize,
            Order::Total | Order::None => 0,
        };
        let mut ledger = Self {
            order,
            events: Vec::new(),
            channels,
            receivers: Vec::new(),
            first_arrivals: vec![[NONE; 2]; connections as usize],
            last_of_sender: vec![NONE; pairs],
            unanswered: 0,
            outstanding: 0,
        };
        for connection in 0..connections {
            let channel = connection % users.max(1) + 1;
            ledger.receivers.push(Receiver::new(channel));
            for channel in [EVERYBODY, channel] {
                if let Some(channel) = ledger.channels.get_mut(channel as usize) {
                    channel.receivers += 1;
                }
            }
        }
        ledger
    }

    /// Writes down an event that is about to be sent. Returns its number.
    pub(crate) fn send(&mut self, sender: u32, audience: Audience, due: Micros) -> u32 {
        let event = u32::try_from(self.events.len()).unwrap_or(NONE);
        let own = self.receivers.get(sender as usize).map_or(NONE, |sender| sender.channel);
        let channels = match audience {
            Audience::All => [EVERYBODY, NONE],
            Audience::User(user) if user + 1 != own => [user + 1, own],
            Audience::User(_) | Audience::Sender => [own, NONE],
        };
        let mut remaining = 0;
        let places = channels.map(|number| match self.channels.get_mut(number as usize) {
            None => NOWHERE,
            Some(channel) => {
                channel.events.push(event);
                remaining += channel.receivers;
                let count = u32::try_from(channel.events.len()).unwrap_or(NONE);
                Place { channel: number, number: count - 1, position: NONE }
            }
        });
        self.events.push(Event { due, sender, fate: Fate::Unknown, remaining, places });
        self.outstanding += u64::from(remaining);
        self.unanswered += 1;
        event
    }

    /// Writes down an answer. Returns the event, if it is the first answer to it.
    pub(crate) fn answer(&mut self, event: u32, fate: Fate) -> Option<&Event> {
        let event = self.events.get_mut(event as usize)?;
        if event.fate != Fate::Unknown {
            return None;
        }
        event.fate = fate;
        self.unanswered -= 1;
        if fate == Fate::Refused {
            self.outstanding -= u64::from(event.remaining);
            event.remaining = 0;
        }
        Some(event)
    }

    /// Writes down a delivery to a connection.
    pub(crate) fn deliver(&mut self, connection: u32, stamp: &Stamp) -> Delivery {
        let Some(event) = self.events.get_mut(stamp.event as usize) else {
            return Delivery::Unknown;
        };
        let Some(receiver) = self.receivers.get_mut(connection as usize) else {
            return Delivery::Unknown;
        };
        let own = receiver.channel;
        let concerns = |place: &&mut Place| place.channel == EVERYBODY || place.channel == own;
        let Some(place) = event.places.iter_mut().find(concerns) else {
            return Delivery::Misdirected;
        };
        let stream = usize::from(place.channel != EVERYBODY);
        if !receiver.insert(stream, place.number) {
            return Delivery::Doubled;
        }
        // A refused event that arrives after all was not waited for.
        if event.remaining > 0 {
            event.remaining -= 1;
            self.outstanding -= 1;
        }
        let mut out_of_order = false;
        if place.position == NONE
            && let Some(channel) = self.channels.get_mut(place.channel as usize)
        {
            place.position = channel.arrived;
            channel.arrived += 1;
            let own_channel =
                self.receivers.get(event.sender as usize).map(|sender| sender.channel);
            let of_sender = self.first_arrivals.get_mut(event.sender as usize);
            // In the channel of another user there may be others of the sender's, not seen here.
            if let Some(last) = of_sender.and_then(|of_sender| of_sender.get_mut(stream))
                && (place.channel == EVERYBODY || Some(place.channel) == own_channel)
            {
                out_of_order |= *last != NONE && *last > stamp.event;
                *last = stamp.event;
            }
        }
        match self.order {
            Order::None => out_of_order = false,
            Order::Total => {
                let receiver = self.receivers.get_mut(connection as usize);
                out_of_order |= receiver.is_some_and(|it| !it.moves_on(stream, place.position));
            }
            Order::Sender => {
                let pair = connection as usize * self.first_arrivals.len() + event.sender as usize;
                if let Some(last) = self.last_of_sender.get_mut(pair) {
                    out_of_order = *last != NONE && *last > stamp.event;
                    *last = stamp.event;
                }
            }
        }
        Delivery::Fresh { out_of_order }
    }

    /// A connection is gone for good: nothing is expected of it any more.
    pub(crate) fn leave(&mut self, connection: u32) {
        if let Some(receiver) = self.receivers.get_mut(connection as usize) {
            receiver.is_gone = true;
            // What was on its way to it is found when the balance is drawn.
        }
    }

    /// An event by its number.
    pub(crate) fn event(&self, event: u32) -> Option<&Event> {
        self.events.get(event as usize)
    }

    /// The number of the next event.
    pub(crate) fn next_event(&self) -> u32 {
        u32::try_from(self.events.len()).unwrap_or(NONE)
    }

    /// Whether there are events without answer.
    pub(crate) fn has_unanswered(&self) -> bool {
        self.unanswered > 0
    }

    /// Whether every event was answered and has arrived wherever it has to.
    pub(crate) fn is_settled(&self) -> bool {
        self.unanswered == 0 && self.outstanding == 0
    }

    /// Accounts for everything.
    pub(crate) fn balance(&self) -> Balance {
        let mut balance = Balance::default();
        for event in &self.events {
            match event.fate {
                Fate::Accepted => balance.accepted += 1,
                Fate::Refused => balance.refused += 1,
                Fate::Unknown => balance.unanswered += 1,
            }
        }
        let all = self.channels.first().map(|everybody| self.must_arrive(everybody));
        let all = all.unwrap_or_default();
        let own: Vec<Vec<bool>> =
            self.channels.iter().skip(1).map(|channel| self.must_arrive(channel)).collect();
        let none = Vec::new();
        for receiver in self.receivers.iter().filter(|receiver| !receiver.is_gone) {
            let own = own.get(receiver.channel as usize - 1).unwrap_or(&none);
            for (stream, events) in [&all, own].into_iter().enumerate() {
                balance.expected += events.iter().filter(|must| **must).count() as u64;
                let end = u32::try_from(events.len()).unwrap_or(NONE);
                let missing = receiver.missing(stream, end);
                let is_due = |number: &u32| events.get(*number as usize) == Some(&true);
                balance.lost += missing.filter(is_due).count() as u64;
            }
        }
        balance
    }

    /// By number on the channel: whether the event has to arrive, because it was taken, or because it
    /// has arrived somewhere.
    fn must_arrive(&self, channel: &Channel) -> Vec<bool> {
        let must = |number: &u32| {
            self.events.get(*number as usize).is_some_and(|event| match event.fate {
                Fate::Accepted => true,
                Fate::Refused => false,
                Fate::Unknown => event.places.iter().any(|place| place.position != NONE),
            })
        };
        channel.events.iter().map(must).collect()
    }
}
