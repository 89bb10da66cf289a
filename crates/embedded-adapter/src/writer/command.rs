//! What the writer can be asked for, and how requests become a batch.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use game_realtime_application::{
    NewEvent,
    ports::{AppendError, Appended, SpanKind, StoreError},
    trace::Span,
};
use game_realtime_domain::{EventId, EventType, Timestamp, UserId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use uuid::Uuid;

use crate::{records, tables};

/// How many events one transaction takes, at most.
const MAX_EVENTS: usize = 512;
/// How many repeats of requests it takes beside them, at most. They are answered with what became of
/// the first, and write nothing.
const MAX_REPEATS: usize = 16_384;
/// How large the records of one transaction are, in bytes; the last one may go beyond.
const MAX_BYTES: usize = 1024 * 1024;

/// What became of an append.
pub(super) type Answer = Result<Appended, AppendError>;

/// A request to the writer.
pub(super) enum Command {
    /// Commit an event.
    Append(Box<Append>),
    /// Say whether a write would succeed.
    Probe(oneshot::Sender<Result<(), StoreError>>),
    /// Take no more requests, do those that wait, close the file.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// An event, encoded by whoever appends it: the writer's time is everybody's.
pub(super) struct Append {
    pub(super) event_type: EventType,
    pub(super) event_id: EventId,
    pub(super) created_at: Timestamp,
    pub(super) record: Vec<u8>,
    pub(super) receipt: Option<Receipt>,
    pub(super) presence_of: Option<UserId>,
    /// Until it is answered, whether somebody waits for that or not.
    pub(super) span: Span,
    pub(super) answer: oneshot::Sender<Answer>,
    /// The room it takes, given back when it is dropped.
    _room: OwnedSemaphorePermit,
}

/// What makes a repeat recognisable.
pub(super) struct Receipt {
    pub(super) key: Vec<u8>,
    pub(super) fingerprint: Uuid,
}

/// What is done in one go.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) appends: Vec<Append>,
    pub(super) probes: Vec<oneshot::Sender<Result<(), StoreError>>>,
    pub(super) closing: Option<oneshot::Sender<Result<(), StoreError>>>,
}

impl Append {
    /// Encodes an event.
    ///
    /// # Errors
    /// When its payload is not JSON, or when there is no room for it.
    pub(super) fn encode(
        mut new: NewEvent,
        answer: oneshot::Sender<Answer>,
        room: &Arc<Semaphore>,
    ) -> Result<Self, StoreError> {
        // Deliveries are parts of it.
        let span = Span::of_current("embedded.event.append", SpanKind::Producer);
        new.trace = span.context().or(new.trace);
        let record = records::encode_event(&new).map_err(StoreError::corrupt)?;
        let bytes = u32::try_from(record.len()).map_err(StoreError::unavailable)?;
        let room = Arc::clone(room)
            .try_acquire_many_owned(bytes)
            .map_err(|_| StoreError::unavailable("the queue is full"))?;
        Ok(Self {
            event_type: new.event.payload.event_type,
            event_id: new.event.id,
            created_at: new.event.created_at,
            record,
            receipt: new.receipt.map(|receipt| Receipt {
                key: tables::receipt_key(&receipt),
                fingerprint: receipt.fingerprint,
            }),
            presence_of: new.presence_of,
            span,
            answer,
            _room: room,
        })
    }
}

impl Batch {
    /// Takes what waits in the queue, in order, up to the limits. Waits for nothing.
    pub(super) fn gather(first: Command, commands: &mut mpsc::Receiver<Command>) -> Self {
        let mut batch = Self::default();
        let (mut bytes, mut repeats) = (0, 0);
        let hasher = RandomState::new();
        let mut requests = HashSet::new();
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Append(append) => {
                    // Two requests with one hash do no harm: the batch grows by one.
                    let first = append.receipt.as_ref().is_none_or(|receipt| {
                        requests.insert(hasher.hash_one(receipt.key.as_slice()))
                    });
                    if first {
                        bytes += append.record.len();
                    } else {
                        repeats += 1;
                    }
                    batch.appends.push(*append);
                }
                Command::Probe(answer) => batch.probes.push(answer),
                Command::Close(answer) => {
                    commands.close();
                    batch.closing = Some(answer);
                    break;
                }
            }
            let writes = batch.appends.len() - repeats + batch.probes.len();
            if writes >= MAX_EVENTS || bytes >= MAX_BYTES || repeats >= MAX_REPEATS {
                break;
            }
            next = commands.try_recv().ok();
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use game_realtime_contract::{ConnectionBuilder, EventBuilder};

    use super::*;

    fn append(event: NewEvent) -> Command {
        let room = Arc::new(Semaphore::new(1024 * 1024));
        let (answer, _) = oneshot::channel();
        Command::Append(Box::new(Append::encode(event, answer, &room).unwrap()))
    }

    #[test]
    fn repeats_take_no_room_from_others() {
        let sender = ConnectionBuilder::player("alice").build();
        let (queue, mut commands) = mpsc::channel(10_000);
        for number in 0..2000 {
            queue
                .try_send(append(EventBuilder::from(&sender).request("r").broadcast("hi")))
                .unwrap();
            if number % 5 == 0 {
                let other = EventBuilder::from(&sender).request(&number.to_string());
                queue.try_send(append(other.broadcast("hi"))).unwrap();
            }
        }
        let first = commands.try_recv().unwrap();
        assert_eq!(Batch::gather(first, &mut commands).appends.len(), 2400);
    }

    #[test]
    fn a_batch_holds_no_more_events_than_it_may() {
        let sender = ConnectionBuilder::player("alice").build();
        let (queue, mut commands) = mpsc::channel(10_000);
        for number in 0..MAX_EVENTS + 1 {
            let event = EventBuilder::from(&sender).request(&number.to_string());
            queue.try_send(append(event.broadcast("hi"))).unwrap();
        }
        let first = commands.try_recv().unwrap();
        assert_eq!(Batch::gather(first, &mut commands).appends.len(), MAX_EVENTS);
    }
}
