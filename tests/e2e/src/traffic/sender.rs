//! One client that sends, asks again when it must, and remembers what it was told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{TrafficOptions, user};
use crate::{Client, Namespace, event, validator::Acked};

/// How long a client waits for an answer before it asks again.
pub(super) const EMIT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it waits after "later".
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// How long it goes on asking about its last event when the traffic ends.
const LAST_CHANCE: Duration = Duration::from_secs(20);

/// What clients sent, and what came of it.
#[derive(Debug, Default)]
pub struct Sent {
    /// The acknowledgements of each client in the order in which it sent the events.
    pub acked: Vec<Acked>,
    /// Answers that were none of success, by code.
    pub refused: BTreeMap<String, usize>,
    /// Refusals that told the client not to try again.
    pub final_refusals: Vec<Value>,
    /// How often no answer came in time.
    pub unanswered: usize,
    /// Events that were given up: whether they happened is not known.
    pub given_up: usize,
    /// The longest an answer took.
    pub slowest: Duration,
}

impl Sent {
    pub(super) fn add(&mut self, other: Self) {
        self.acked.extend(other.acked);
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.final_refusals.extend(other.final_refusals);
        self.unanswered += other.unanswered;
        self.given_up += other.given_up;
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// Sends one event after the other until told to stop.
pub(super) async fn send_all_the_time(
    client: Arc<Client>,
    number: usize,
    options: TrafficOptions,
    acked: Arc<AtomicUsize>,
    stop: watch::Receiver<bool>,
) -> Sent {
    let mut sent = Sent::default();
    let mut turn = 0;
    while !*stop.borrow() {
        let (event_type, payload) = event_of(&client, number, turn, &options);
        let before = sent.acked.len();
        send(&client, event_type, &payload, &stop, &mut sent).await;
        acked.fetch_add(sent.acked.len() - before, Ordering::Relaxed);
        turn += 1;
        sleep(options.pace).await;
    }
    sent
}

async fn send(
    client: &Client,
    event_type: &str,
    payload: &Value,
    stop: &watch::Receiver<bool>,
    sent: &mut Sent,
) {
    let mut stopped = None;
    loop {
        let asked = Instant::now();
        let answer = client.emit_within(event_type, payload.clone(), EMIT_TIMEOUT).await;
        sent.slowest = sent.slowest.max(asked.elapsed());
        let retry = match answer {
            Ok(ack) => match Acked::parse(client, payload, &ack) {
                Some(acked) => {
                    sent.acked.push(acked);
                    return;
                }
                None => refused(&ack, sent),
            },
            // A guest that comes back is somebody else: the repeat would be a new event.
            Err(_) => {
                sent.unanswered += 1;
                client.namespace() == Namespace::Private
            }
        };
        if *stop.borrow() && stopped.is_none() {
            stopped = Some(Instant::now());
        }
        if !retry || stopped.is_some_and(|at| at.elapsed() > LAST_CHANCE) {
            sent.given_up += 1;
            return;
        }
        sleep(RETRY_DELAY).await;
    }
}

/// Whether the client may try again.
fn refused(ack: &Value, sent: &mut Sent) -> bool {
    let error = ack.get("error");
    let code = error.and_then(|error| error.get("code")?.as_str()).unwrap_or("none");
    *sent.refused.entry(code.to_owned()).or_default() += 1;
    let retryable = error.and_then(|error| error.get("retryable")?.as_bool()) == Some(true);
    if !retryable {
        sent.final_refusals.push(ack.clone());
    }
    retryable
}

/// What client number `number` sends as its event number `turn`.
fn event_of(
    client: &Client,
    number: usize,
    turn: usize,
    options: &TrafficOptions,
) -> (&'static str, Value) {
    let request_id = format!("{number}-{turn}");
    let text = format!("{number}: {turn} {}", "x".repeat(options.padding));
    let kinds = if client.namespace() == Namespace::Private { 4 } else { 3 };
    match (number + turn) % kinds {
        0 | 1 => (event::BROADCAST, json!({"message": text, "request_id": request_id})),
        2 => {
            let target = user(options, (number * 7 + turn) % options.users.max(1));
            let payload = json!({"target_user_id": target, "text": text, "request_id": request_id});
            (event::SEND_MESSAGE, payload)
        }
        _ => {
            let payload = json!({"good_id": format!("good {number}"), "count": turn + 1, "request_id": request_id});
            (event::BUY_GOOD, payload)
        }
    }
}
