//! The verdict once everything has settled.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use game_realtime_application::{
    Joined, Resume,
    ports::{ClientPush, ConnectionRepository},
};
use game_realtime_domain::{Connection, ConnectionId, Namespace, Position, Timestamp};

use uuid::Uuid;

use super::Validator;
use crate::{node::Node, push::Push, world::World};

impl Validator {
    /// Checks what can only be told in the end; `node` is any that answers.
    pub(crate) async fn finally(&self, world: &Arc<World>, node: &Node) {
        self.check_deliveries(world);
        self.check_log(world);
        self.check_order(world);
        self.check_kicks(world);
        self.check_registry(world, node).await;
        check_cursors(world).await;
    }

    /// Who is connected has everything.
    fn check_deliveries(&self, world: &World) {
        let state = world.store.state();
        let mut complaints = Vec::new();
        for (id, record) in &*self.connections.lock().unwrap() {
            let owed = || state.log.iter().skip(record.next);
            let missing = owed().find(|entry| entry.is_meant_for(&record.connection));
            if let (true, Some(missing)) = (record.live, missing) {
                complaints.push(format!("{id} never received {}", missing.event.position));
            }
        }
        let committed = u64::try_from(state.log.len()).unwrap();
        drop(state);
        world.tally.add("events committed", committed);
        for complaint in complaints {
            world.violated(complaint);
        }
    }

    /// Nothing is in the log twice, and everything acknowledged once.
    fn check_log(&self, world: &World) {
        let state = world.store.state();
        let mut complaints = Vec::new();
        let mut positions = BTreeMap::new();
        let mut payloads = BTreeSet::new();
        let mut requests = HashSet::new();
        let mut last = Position::START;
        for entry in &state.log {
            let position = entry.event.position;
            if position <= last {
                complaints.push(format!("{position} comes after {last} in the log"));
            }
            last = position;
            if positions.insert(entry.event.event.id, position).is_some() {
                complaints.push(format!("the event at {position} is stored twice"));
            }
            // Every request of every client says something of its own.
            let payload = &entry.event.event.payload;
            if !payloads.insert((payload.event_type, &payload.json)) {
                complaints.push(format!("what {position} says was committed twice"));
            }
            if let Some(receipt) = &entry.receipt
                && !requests.insert((&receipt.scope, &receipt.request_id))
            {
                complaints.push(format!("the request of {position} was committed twice"));
            }
        }
        for (text, acknowledged) in &*self.acknowledged.lock().unwrap() {
            let appended = &acknowledged.appended;
            if positions.get(&appended.event_id) != Some(&appended.cursor.position) {
                complaints.push(format!("{text} was acknowledged and is not in the log"));
            }
        }
        drop(state);
        for complaint in complaints {
            world.violated(complaint);
        }
    }

    /// What one connection sent was committed in the order sent.
    fn check_order(&self, world: &World) {
        let acknowledged = self.acknowledged.lock().unwrap();
        let firsts = acknowledged.values().filter(|answer| !answer.appended.duplicate);
        let mut sent: Vec<_> = firsts
            .map(|answer| (answer.connection, answer.number, answer.appended.cursor.position))
            .collect();
        sent.sort_unstable();
        let out_of_order: Vec<_> =
            sent.windows(2).filter(|two| two[0].0 == two[1].0 && two[0].2 > two[1].2).collect();
        for two in out_of_order {
            let ((id, first, _), (_, second, _)) = (two[0], two[1]);
            world.violated(format!("{id} sent {first} before {second}, committed after it"));
        }
    }

    /// The registry is who is connected, no more and no less.
    async fn check_registry(&self, world: &World, node: &Node) {
        let live: BTreeMap<ConnectionId, Connection> = {
            let connections = self.connections.lock().unwrap();
            let live = connections.iter().filter(|(_, record)| record.live);
            live.map(|(id, record)| (*id, record.connection.clone())).collect()
        };
        let mut registered = BTreeMap::new();
        for namespace in Namespace::ALL {
            match node.link.list_by_namespace(namespace, None, usize::MAX).await {
                Ok(listed) => registered.extend(listed.into_iter().map(|c| (c.id, c))),
                Err(error) => world.violated(format!("the registry is {error}")),
            }
        }
        for id in live.keys().filter(|id| !registered.contains_key(id)) {
            world.violated(format!("{id} is connected and not registered"));
        }
        for id in registered.keys().filter(|id| !live.contains_key(id)) {
            world.violated(format!("{id} is registered and not connected"));
        }
    }
}

/// The furthest place that any node was told of, which may be one of a record that nobody can read, is
/// known to every node.
async fn check_cursors(world: &Arc<World>) {
    let nodes = world.nodes();
    let Some(furthest) = nodes.iter().map(|node| node.link.told().head).max() else { return };
    let cursor = world.store.state().cursor(furthest);
    for node in &nodes {
        let connection = Connection {
            id: ConnectionId(Uuid::from_u64_pair(world.random.next(), world.random.next())),
            namespace: Namespace::Guest,
            user_id: None,
            node_id: node.id,
            connected_at: Timestamp::from_millis(0),
        };
        let push: Arc<dyn ClientPush> = Push::new(world, node);
        let resume = Resume::From(cursor.clone());
        let joined = node.delivery.join(&connection, &push, resume).await;
        node.delivery.leave(connection.id).await;
        if !matches!(joined, Ok(Joined::At { .. })) {
            world.violated(format!("{} is never told of {furthest}: {joined:?}", node.id));
        }
    }
}
