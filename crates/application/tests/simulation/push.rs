//! The way from a node to one client: a small buffer that the client reads, or does not.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use game_realtime_application::{
    OutgoingEvent,
    ports::{ClientPush, CloseReason, ConnectionGone, PushOutcome},
};
use game_realtime_domain::{EventId, Position};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::{node::Node, world::World};

/// How long a client may take nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after its end a connection may still be offered events.
const GRACE: Duration = Duration::from_millis(1);

pub(crate) struct Push {
    world: Arc<World>,
    node: Arc<Node>,
    state: Mutex<State>,
    /// There is something to read, or the end.
    pub(crate) arrived: Notify,
    room: Notify,
}

#[derive(Default)]
struct State {
    buffer: VecDeque<Arrived>,
    /// The end of the buffer that is not written yet: the client cannot read it.
    queued: usize,
    /// Whether the client was told that it is ready: before that, nothing may come.
    ready: bool,
    gone: bool,
    closed: Option<CloseReason>,
    /// When delivery was told to forget it.
    left: Option<Instant>,
}

/// An event as the client sees it.
pub(crate) struct Arrived {
    pub(crate) position: Position,
    pub(crate) id: EventId,
    pub(crate) cursor: String,
}

impl Push {
    pub(crate) fn new(world: &Arc<World>, node: &Arc<Node>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            node: Arc::clone(node),
            state: Mutex::default(),
            arrived: Notify::new(),
            room: Notify::new(),
        })
    }

    /// The client reads the next event.
    pub(crate) fn read(&self) -> Option<Arrived> {
        let mut state = self.state.lock().unwrap();
        if state.buffer.len() == state.queued {
            return None;
        }
        self.room.notify_one();
        state.buffer.pop_front()
    }

    /// The client is told that it is ready.
    pub(crate) fn is_ready(&self) {
        self.state.lock().unwrap().ready = true;
    }

    /// Why the node ended it, if it did.
    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.state.lock().unwrap().closed
    }

    /// The transport is gone, whoever ended it.
    pub(crate) fn end(&self) {
        self.state.lock().unwrap().gone = true;
        self.room.notify_one();
    }

    /// Delivery has been told to forget it.
    pub(crate) fn has_left(&self) {
        self.state.lock().unwrap().left = Some(Instant::now());
    }
}

#[async_trait]
impl ClientPush for Push {
    fn push(&self, event: &OutgoingEvent) -> PushOutcome {
        let outcome = self.queue(event);
        self.flush();
        outcome
    }

    fn flush(&self) {
        self.state.lock().unwrap().queued = 0;
        self.arrived.notify_one();
    }

    fn queue(&self, event: &OutgoingEvent) -> PushOutcome {
        let mut state = self.state.lock().unwrap();
        if state.left.is_some_and(|left| left.elapsed() > GRACE) {
            self.world
                .violated(format!("{} is pushed to a connection that left", event.position()));
        }
        if state.gone {
            return PushOutcome::Gone;
        }
        if !state.ready {
            self.world
                .violated(format!("{} is pushed before the client is ready", event.position()));
        }
        if state.buffer.len() >= self.world.plan.send_buffer {
            self.world.tally.count("pushes refused by a full buffer");
            return PushOutcome::Full;
        }
        self.node.has_pushed(event.position());
        state.buffer.push_back(Arrived {
            position: event.position(),
            id: event.event().event.id,
            cursor: event.cursor(),
        });
        state.queued += 1;
        PushOutcome::Taken
    }

    async fn writable(&self) -> Result<(), ConnectionGone> {
        loop {
            {
                let state = self.state.lock().unwrap();
                if state.gone {
                    return Err(ConnectionGone);
                }
                if state.buffer.len() < self.world.plan.send_buffer {
                    return Ok(());
                }
            }
            if timeout(WRITE_TIMEOUT, self.room.notified()).await.is_err() {
                return Err(ConnectionGone);
            }
        }
    }

    fn close(&self, reason: CloseReason) {
        let mut state = self.state.lock().unwrap();
        if state.gone {
            return;
        }
        state.gone = true;
        state.closed = Some(reason);
        state.queued = 0;
        if reason == CloseReason::SlowConsumer {
            state.buffer.clear();
        }
        self.arrived.notify_one();
        self.room.notify_one();
    }
}
