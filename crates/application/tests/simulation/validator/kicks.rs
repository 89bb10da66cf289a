//! Who was kicked, and who should have been.

use std::{collections::BTreeMap, sync::Mutex};

use game_realtime_domain::{Connection, ConnectionId, Recipient};
use tokio::time::Instant;

use super::Validator;
use crate::{random::Random, world::World};

#[derive(Default)]
pub(super) struct Kicks {
    arrivals: Mutex<BTreeMap<ConnectionId, Arrival>>,
    orders: Mutex<Vec<Order>>,
}

/// When a connection was let in.
struct Arrival {
    begun: Instant,
    done: Instant,
}

struct Order {
    target: Recipient,
    begun: Instant,
    /// `None` while nobody knows whether it was given.
    returned: Option<Instant>,
}

impl Validator {
    /// A connection was let in, which began then.
    pub(crate) fn arrived(&self, connection: &Connection, begun: Instant) {
        let arrival = Arrival { begun, done: Instant::now() };
        self.kicks.arrivals.lock().unwrap().insert(connection.id, arrival);
    }

    /// Any connection that there was.
    pub(crate) fn some_connection(&self, random: &Random) -> Option<ConnectionId> {
        let arrivals = self.kicks.arrivals.lock().unwrap();
        let ids: Vec<_> = arrivals.keys().copied().collect();
        (!ids.is_empty()).then(|| *random.pick(&ids))
    }

    /// An order is about to be given. Returns its number.
    pub(crate) fn ordering(&self, target: Recipient) -> usize {
        let mut orders = self.kicks.orders.lock().unwrap();
        orders.push(Order { target, begun: Instant::now(), returned: None });
        orders.len() - 1
    }

    /// An order was given.
    pub(crate) fn ordered(&self, number: usize) {
        self.kicks.orders.lock().unwrap()[number].returned = Some(Instant::now());
    }

    /// A connection was ended by an order: there has to be one that was not given before it began.
    pub(crate) fn kicked(&self, world: &World, connection: &Connection) {
        let arrivals = self.kicks.arrivals.lock().unwrap();
        let begun = arrivals[&connection.id].begun;
        let orders = self.kicks.orders.lock().unwrap();
        let mut concerning = orders.iter().filter(|order| order.target.is(connection));
        let justified =
            concerning.any(|order| order.returned.is_none_or(|returned| begun <= returned));
        if !justified {
            world.violated(format!("{} was kicked though nobody ordered it", connection.id));
        }
    }

    /// Who was there before an order that was given is there no more.
    pub(super) fn check_kicks(&self, world: &World) {
        let arrivals = self.kicks.arrivals.lock().unwrap();
        let orders = self.kicks.orders.lock().unwrap();
        for (id, record) in &*self.connections.lock().unwrap() {
            let arrived = arrivals[id].done;
            let ordered = orders.iter().find(|order| {
                order.returned.is_some()
                    && arrived < order.begun
                    && order.target.is(&record.connection)
            });
            if let (true, Some(_)) = (record.live, ordered) {
                world.violated(format!("{id} was to be kicked and is still there"));
            }
        }
    }
}
