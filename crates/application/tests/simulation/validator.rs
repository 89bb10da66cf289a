//! Holds what clients received and were told against what was committed.

mod finally;
mod kicks;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use game_realtime_application::{Recovery, Resume, ports::Appended};
use game_realtime_domain::{Connection, ConnectionId, Cursor, Position};

use self::kicks::Kicks;
use crate::{client::Resumed, node::Node, push::Arrived, request::Request, world::World};

#[derive(Default)]
pub(crate) struct Validator {
    connections: Mutex<BTreeMap<ConnectionId, Record>>,
    /// The first answer to each request, by its text.
    acknowledged: Mutex<BTreeMap<String, Acknowledged>>,
    kicks: Kicks,
}

/// A connection as its client sees it.
struct Record {
    connection: Connection,
    /// Where in the log to look for the next event that it is owed.
    next: usize,
    live: bool,
    received: usize,
}

struct Acknowledged {
    appended: Appended,
    connection: ConnectionId,
    /// The how manieth request of the connection.
    number: u64,
}

/// What was known before a connection joined, to judge its answer by.
pub(crate) struct Before {
    pushed: Position,
}

impl Validator {
    pub(crate) fn joining(node: &Arc<Node>) -> Before {
        Before { pushed: node.pushed() }
    }

    /// A connection was told that it is ready.
    pub(crate) fn ready(
        &self,
        world: &World,
        node: &Arc<Node>,
        connection: &Connection,
        (resumed, before): (&Resumed, &Before),
        (cursor, recovery): (&Cursor, Recovery),
    ) {
        let state = world.store.state();
        let position = cursor.position;
        let name = connection.id;
        let missed = |from: Position, to: Position| {
            let after = state.log.iter().filter(|entry| entry.event.position > from);
            after.filter(|e| e.event.position <= to && e.is_meant_for(connection)).count()
        };
        let complaint = match (resumed, recovery) {
            (Resumed::Fresh, Recovery::Fresh) | (Resumed::Nonsense(_), Recovery::Gap) => None,
            (Resumed::Genuine(text), Recovery::Recovered(replayed)) => {
                let least = missed(position, before.pushed);
                let most = missed(position, node.link.told().head);
                if !(least..=most).contains(&replayed) {
                    Some(format!("replays {replayed}, not {least} to {most}"))
                } else if cursor.to_string() != *text {
                    Some(format!("recovered from {cursor}, not from its own {text}"))
                } else {
                    world.tally.add("events to replay", u64::try_from(replayed).unwrap());
                    None
                }
            }
            (Resumed::Genuine(text), Recovery::Gap) => {
                let Resume::From(own) = Resume::parse(Some(text)) else {
                    return world.violated(format!("{name}: {text} is not read as a cursor"));
                };
                let excused = world.plan.forgetful || own.position < state.floor();
                (!excused).then(|| format!("a gap after {text}, but nothing was missing"))
            }
            (Resumed::Fresh | Resumed::Nonsense(_) | Resumed::Genuine(_), other) => {
                Some(format!("{resumed:?} made {other:?}"))
            }
        };
        let live_from = match recovery {
            Recovery::Recovered(_) => None,
            Recovery::Fresh | Recovery::Gap if position < before.pushed => {
                Some(format!("is live from {position}, though {} was pushed", before.pushed))
            }
            Recovery::Fresh | Recovery::Gap
                if position > Position::after_revision(state.revision) =>
            {
                Some(format!("is live from {position}, which does not exist"))
            }
            Recovery::Fresh | Recovery::Gap => None,
        };
        let next = state.index_after(position);
        drop(state);
        for complaint in complaint.into_iter().chain(live_from) {
            world.violated(format!("{name} {complaint}"));
        }
        world.tally.count(match recovery {
            Recovery::Fresh => "joins fresh",
            Recovery::Recovered(_) => "joins recovered",
            Recovery::Gap => "joins with a gap",
        });
        let record = Record { connection: connection.clone(), next, live: true, received: 0 };
        self.connections.lock().unwrap().insert(connection.id, record);
    }

    /// A client read an event: it has to be the very next one that it is owed.
    pub(crate) fn received(&self, world: &World, id: ConnectionId, arrived: &Arrived) {
        let state = world.store.state();
        let mut connections = self.connections.lock().unwrap();
        let record = connections.get_mut(&id).unwrap();
        let owed = state.log.iter().enumerate().skip(record.next);
        let owed = owed.into_iter().find(|(_, entry)| entry.is_meant_for(&record.connection));
        let complaint = match owed {
            Some((index, entry))
                if entry.event.position == arrived.position
                    && entry.event.event.id == arrived.id
                    && state.cursor(arrived.position).to_string() == arrived.cursor =>
            {
                record.next = index + 1;
                None
            }
            Some((_, entry)) => {
                Some(format!("received {}, owed {}", arrived.position, entry.event.position))
            }
            None => Some(format!("received {}, owed nothing", arrived.position)),
        };
        record.received += 1;
        let record_received = record.received;
        drop(connections);
        drop(state);
        world.tally.count("events received");
        if let Some(complaint) = complaint {
            world.violated(format!("{id} {complaint} (as its event {record_received})"));
        }
    }

    /// A connection has ended, however.
    pub(crate) fn ended(&self, id: ConnectionId) {
        if let Some(record) = self.connections.lock().unwrap().get_mut(&id) {
            record.live = false;
        }
    }

    /// The store's answer came: the event has to be there by now, once.
    pub(crate) fn acknowledged(
        &self,
        world: &World,
        request: &Request,
        (connection, number): (ConnectionId, u64),
        appended: &Appended,
    ) {
        let state = world.store.state();
        let index = state.index_after(appended.cursor.position).checked_sub(1);
        let stored = index.map(|index| &state.log[index].event).filter(|stored| {
            stored.position == appended.cursor.position
                && stored.event.id == appended.event_id
                && stored.event.created_at == appended.created_at
                && stored.event.payload.json.contains(&format!("\"{}\"", request.text))
        });
        if stored.is_none() {
            let text = &request.text;
            drop(state);
            return world.violated(format!("{text} is acknowledged but not stored: {appended:?}"));
        }
        drop(state);
        let mut all = self.acknowledged.lock().unwrap();
        match all.get_mut(&request.text) {
            None => {
                let appended = appended.clone();
                let first = Acknowledged { appended, connection, number };
                all.insert(request.text.clone(), first);
            }
            // Of requests that are on their way at once, a repeat may be answered first.
            Some(known) => {
                let first = known.appended.clone();
                let same = first.event_id == appended.event_id
                    && first.cursor == appended.cursor
                    && first.created_at == appended.created_at;
                let both_are_first = !first.duplicate && !appended.duplicate;
                if first.duplicate && !appended.duplicate {
                    *known = Acknowledged { appended: appended.clone(), connection, number };
                }
                if !same || both_are_first {
                    let complaint =
                        format!("{} is first {first:?}, then {appended:?}", request.text);
                    drop(all);
                    world.violated(complaint);
                }
            }
        }
    }
}
