//! What is done many times at once, and what it leaves in etcd.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use etcd_client::{Client, GetOptions, KvClient};
use game_realtime_application::{NewEvent, ports::EventRepository};
use game_realtime_contract::{ConnectionBuilder, EventBuilder, request_id, unique_id};
use game_realtime_domain::{ConnectionId, EventId};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

/// How many operations are on their way at any time.
pub(crate) const IN_FLIGHT: usize = 512;
/// Bytes of an event's payload.
pub(crate) const PAYLOAD: usize = 256;
/// What the keys of the events begin with.
pub(crate) const PREFIX: &str = "/bench";

/// One thing that is measured.
#[derive(Clone)]
pub(crate) enum Work {
    /// Events like this one; each with a `request_id` of its own if this one has one.
    Append { events: Arc<dyn EventRepository>, like: Box<NewEvent>, next: Arc<AtomicU64> },
    /// Single puts.
    Put { client: Box<KvClient>, sizes: Sizes, next: Arc<AtomicU64> },
}

/// How large an event is in etcd.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) key: usize,
    pub(crate) value: usize,
}

impl Work {
    pub(crate) fn events(events: Arc<dyn EventRepository>) -> Self {
        Self::Append { events, like: Box::new(event(sender())), next: Arc::default() }
    }

    pub(crate) fn events_with_request_id(events: Arc<dyn EventRepository>) -> Self {
        Self::Append {
            events,
            like: Box::new(event(sender().request("first"))),
            next: Arc::default(),
        }
    }

    pub(crate) fn puts(client: &Client, sizes: Sizes) -> Self {
        Self::Put { client: Box::new(client.kv_client()), sizes, next: Arc::default() }
    }

    pub(crate) fn is_put(&self) -> bool {
        match self {
            Self::Put { .. } => true,
            Self::Append { .. } => false,
        }
    }

    /// Goes on as a connection of its own.
    fn become_another(&mut self) {
        match self {
            Self::Append { like, .. } => {
                like.event.sender.connection_id = ConnectionId(unique_id());
            }
            Self::Put { .. } => {}
        }
    }

    async fn step(&mut self) {
        match self {
            Self::Append { events, like, next } => {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let mut event = NewEvent::clone(like);
                event.event.id = EventId(Uuid::from_u128(number.into()));
                if let Some(receipt) = &mut event.receipt {
                    receipt.request_id = request_id(&number.to_string());
                }
                events.append(event).await.expect("the event is committed");
            }
            Self::Put { client, sizes, next } => {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let width = sizes.key - "/put/".len();
                let (key, value) = (format!("/put/{number:0width$}"), vec![b'v'; sizes.value]);
                client.put(key, value, None).await.expect("the put is committed");
            }
        }
    }
}

fn sender() -> EventBuilder {
    EventBuilder::from(&ConnectionBuilder::player("player").build())
}

fn event(sender: EventBuilder) -> NewEvent {
    let around = r#"{"message":""}"#.len();
    sender.broadcast(&"m".repeat(PAYLOAD - around))
}

/// Works for a while, always with so many operations on their way. Returns how long each took, in
/// milliseconds.
pub(crate) async fn run(work: &Work, time: Duration) -> Vec<f64> {
    let stop = Instant::now() + time;
    let mut workers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let mut work = work.clone();
        work.become_another();
        workers.spawn(async move {
            let mut milliseconds = Vec::new();
            loop {
                let started = Instant::now();
                if started >= stop {
                    return milliseconds;
                }
                work.step().await;
                milliseconds.push(started.elapsed().as_secs_f64() * 1000.0);
            }
        });
    }
    workers.join_all().await.concat()
}

/// How large the key and the value of an event have turned out.
pub(crate) async fn sizes(client: &Client) -> Sizes {
    let options = GetOptions::new().with_prefix().with_limit(1);
    let found = client.kv_client().get(events_prefix(), Some(options)).await.expect("etcd answers");
    let pair = found.kvs().first().expect("an event was appended");
    Sizes { key: pair.key().len(), value: pair.value().len() }
}

/// How many events are in etcd.
pub(crate) async fn count(client: &Client) -> usize {
    let options = GetOptions::new().with_prefix().with_count_only();
    let found = client.kv_client().get(events_prefix(), Some(options)).await.expect("etcd answers");
    usize::try_from(found.count()).expect("a count")
}

fn events_prefix() -> String {
    format!("{PREFIX}/log/broadcast/")
}
