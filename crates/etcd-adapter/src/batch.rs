//! One transaction of the writer: what goes in, and what each part of the answer means.

use std::collections::HashSet;

use etcd_client::{
    Compare, CompareOp, DeleteOptions, GetOptions, GetResponse, PutOptions, Txn, TxnOp,
    TxnOpResponse, TxnResponse,
};
use game_realtime_application::{
    NewEvent,
    ports::{AppendError, Appended, SpanKind, StoreError},
    trace::Span,
};
use game_realtime_domain::{Connection, Cursor, Epoch, NodeId, Position};
use tokio::sync::oneshot;

use crate::{
    epoch::revision,
    keys::{EventKey, Keys, node_part},
    leases::LeaseId,
    records::{self, UnreadableRecord},
};

/// Operations of a transaction. It bounds how long one keeps etcd from the next.
const OPERATIONS: usize = 500;
/// etcd takes 128 operations side by side (`--max-txn-ops`), and what is nested in one of them may
/// have as many more as that leaves. So a large transaction is one of up to five nested ones of
/// this many, and each of their operations may nest the three of a receipt.
const NESTED: usize = 100;
/// etcd's `--max-request-bytes` is 1.5 MiB by default.
const BYTES: usize = 1 << 20;

/// Registrations of a transaction, so that a crowd that comes in does not keep etcd from events for
/// long: each is two operations.
const REGISTRATIONS: usize = 32;

/// Something to be written, and who waits for it.
pub(crate) enum Write {
    Append {
        event: Box<NewEvent>,
        span: Span,
        answer: oneshot::Sender<Result<Appended, AppendError>>,
    },
    Register {
        connection: Connection,
        answer: Answer,
    },
    Unregister {
        connection: Connection,
        answer: Answer,
    },
}

/// Who waits for a change of the registry learns its revision.
pub(crate) type Answer = oneshot::Sender<Result<u64, StoreError>>;

impl Write {
    /// Whether nobody waits any more. Such an append must not happen; a registration that nobody
    /// waits for is one that has ended.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Append { answer, .. } => answer.is_closed(),
            Self::Register { .. } | Self::Unregister { .. } => false,
        }
    }

    /// Leaves it undone.
    pub(crate) fn abandon(self) {
        match self {
            Self::Append { mut span, .. } => span.fail("abandoned"),
            Self::Register { .. } | Self::Unregister { .. } => {}
        }
    }

    pub(crate) fn fail(self, error: StoreError) {
        // Whoever no longer waits needs no answer.
        match self {
            Self::Append { mut span, answer, .. } => {
                span.fail(error.kind.as_str());
                drop(answer.send(Err(error.into())));
            }
            Self::Register { answer, .. } | Self::Unregister { answer, .. } => {
                drop(answer.send(Err(error)));
            }
        }
    }
}

/// What is written in one transaction.
#[derive(Default)]
pub(crate) struct Batch {
    writes: Vec<Write>,
    operations: usize,
    bytes: usize,
    receipts: usize,
    registrations: usize,
    /// Whether one of its events is traced.
    traced: bool,
    /// Keys that must not be written twice: etcd refuses a transaction that does.
    keys: HashSet<String>,
}

/// What encoding a batch needs to know.
pub(crate) struct Context<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) node_id: NodeId,
    pub(crate) stamp: u64,
    pub(crate) receipt_lease: Option<LeaseId>,
}

impl Batch {
    /// Adds a write if it fits; gives it back if it has to wait for the next transaction.
    pub(crate) fn add(&mut self, write: Write, keys: &Keys) -> Result<(), Write> {
        let (operations, bytes, key) = match &write {
            Write::Append { event, .. } => {
                let key = event.receipt.as_ref().map(|r| keys.receipt(&r.scope, &r.request_id));
                let operations = match (&event.receipt, &event.presence_of) {
                    (Some(_), _) | (None, None) => 1,
                    (None, Some(_)) => 2,
                };
                (operations, 1024 + 2 * event.event.payload.json.len(), key)
            }
            Write::Register { connection, .. } | Write::Unregister { connection, .. } => {
                (2, 2048, keys.registration(connection).next())
            }
        };
        let fits = self.operations + operations <= OPERATIONS
            && self.registrations < REGISTRATIONS
            && (self.bytes + bytes <= BYTES || self.writes.is_empty());
        if !fits || key.as_ref().is_some_and(|key| self.keys.contains(key)) {
            return Err(write);
        }
        match &write {
            Write::Append { event, span, .. } => {
                self.receipts += usize::from(event.receipt.is_some());
                self.traced |= span.is_recording();
            }
            Write::Register { .. } | Write::Unregister { .. } => self.registrations += 1,
        }
        self.operations += operations;
        self.bytes += bytes;
        self.keys.extend(key);
        self.writes.push(write);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.operations >= OPERATIONS || self.registrations >= REGISTRATIONS || self.bytes >= BYTES
    }

    pub(crate) fn len(&self) -> usize {
        self.writes.len()
    }

    /// The step of writing it, if one of its events is traced: of a trace of its own, to which
    /// those of the events have links.
    pub(crate) fn begin(&mut self, lane: &'static str) -> Span {
        let mut span = Span::none();
        if !self.traced {
            return span;
        }
        for write in &mut self.writes {
            let Write::Append { span: append, .. } = write else { continue };
            if !span.is_recording() {
                span = append.aside("etcd.transaction.commit", SpanKind::Client);
            }
            append.link(span.context());
        }
        span.set("transaction.writes", u64::try_from(self.writes.len()).unwrap_or(u64::MAX));
        span.set("transaction.lane", lane);
        span
    }

    /// How many of its events bring a receipt.
    pub(crate) fn receipts(&self) -> usize {
        self.receipts
    }

    /// The transaction. `lease_of` says on which lease a connection is registered; `None` if it has
    /// ended meanwhile.
    pub(crate) fn encode(
        &self,
        context: &Context<'_>,
        lease_of: impl Fn(&Connection) -> Option<LeaseId>,
    ) -> Result<Encoded, serde_json::Error> {
        let mut operations = Vec::with_capacity(self.operations);
        let mut parts = Vec::with_capacity(self.writes.len());
        for (place, write) in self.writes.iter().enumerate() {
            let before = operations.len();
            match write {
                Write::Append { event, .. } => {
                    operations.extend(append(event, index(place), context)?);
                }
                Write::Register { connection, .. } => {
                    if let Some(lease) = lease_of(connection) {
                        operations.extend(register(connection, lease, context.keys)?);
                    }
                }
                Write::Unregister { connection, .. } => {
                    operations.extend(unregister(connection, context.keys));
                }
            }
            parts.push(operations.len() - before);
        }
        if operations.len() > NESTED {
            operations = nest(operations);
        }
        Ok(Encoded { txn: Txn::new().and_then(operations), parts })
    }

    /// Tells everybody what became of their write.
    pub(crate) fn answer(self, response: &TxnResponse, parts: Vec<usize>, epoch: &Epoch) {
        let revision = revision(response.header());
        let mut responses = response.op_responses();
        if parts.iter().sum::<usize>() > NESTED {
            responses = unnest(responses);
        }
        let mut responses = responses.into_iter();
        for (place, (write, part)) in self.writes.into_iter().zip(parts).enumerate() {
            let part: Vec<_> = responses.by_ref().take(part).collect();
            match write {
                Write::Append { event, mut span, answer } => {
                    let result = appended(&event, index(place), revision, epoch, part);
                    span.set("etcd.revision", revision);
                    drop(span);
                    answer
                        .send(result.map_err(|error| match error {
                            AnswerError::Conflict => AppendError::IdempotencyConflict,
                            AnswerError::Unreadable(error) => StoreError::corrupt(error).into(),
                        }))
                        .ok();
                }
                Write::Register { answer, .. } | Write::Unregister { answer, .. } => {
                    answer.send(Ok(revision)).ok();
                }
            }
        }
    }

    /// Tells everybody that their write failed.
    pub(crate) fn fail(self, error: impl Fn() -> StoreError) {
        for write in self.writes {
            write.fail(error());
        }
    }
}

/// A transaction and how many of its operations belong to each write.
pub(crate) struct Encoded {
    pub(crate) txn: Txn,
    pub(crate) parts: Vec<usize>,
}

enum AnswerError {
    Conflict,
    Unreadable(UnreadableRecord),
}

/// The place of a write among those of its transaction, from 1.
fn index(place: usize) -> u16 {
    // A batch holds no more than OPERATIONS writes.
    u16::try_from(place + 1).unwrap_or(u16::MAX)
}

/// The same operations in the same order, as transactions of [`NESTED`] each.
fn nest(operations: Vec<TxnOp>) -> Vec<TxnOp> {
    let mut rest = operations.into_iter().peekable();
    let mut nested = Vec::with_capacity(OPERATIONS / NESTED);
    while rest.peek().is_some() {
        let some: Vec<_> = rest.by_ref().take(NESTED).collect();
        nested.push(TxnOp::txn(Txn::new().and_then(some)));
    }
    nested
}

/// What etcd says of each of the operations that [`nest`] was given.
fn unnest(responses: Vec<TxnOpResponse>) -> Vec<TxnOpResponse> {
    let nested = |response| match response {
        TxnOpResponse::Txn(nested) => nested.op_responses(),
        TxnOpResponse::Put(_) | TxnOpResponse::Get(_) | TxnOpResponse::Delete(_) => Vec::new(),
    };
    responses.into_iter().flat_map(nested).collect()
}

fn append(
    new: &NewEvent,
    index: u16,
    context: &Context<'_>,
) -> Result<Vec<TxnOp>, serde_json::Error> {
    let keys = context.keys;
    let key = keys.event(&EventKey {
        event_type: new.event.payload.event_type,
        stamp: context.stamp,
        node: node_part(context.node_id),
        index,
        namespace: new.event.namespace,
        route: new.route.clone(),
    });
    let put = TxnOp::put(key, records::encode_event(new)?, None);
    let count = new.presence_of.as_ref().map(|user_id| {
        let options = GetOptions::new().with_prefix().with_count_only();
        TxnOp::get(keys.user(user_id), Some(options))
    });
    let Some(receipt) = &new.receipt else {
        return Ok(std::iter::once(put).chain(count).collect());
    };
    let receipt_key = keys.receipt(&receipt.scope, &receipt.request_id);
    let options = context.receipt_lease.map(|lease| PutOptions::new().with_lease(lease));
    let record = records::encode_receipt(receipt, new, u32::from(index))?;
    let first_time = [put, TxnOp::put(receipt_key.clone(), record, options)];
    let txn = Txn::new()
        .when([Compare::create_revision(receipt_key.clone(), CompareOp::Equal, 0)])
        .and_then(first_time.into_iter().chain(count.clone()).collect::<Vec<_>>())
        .or_else(std::iter::once(TxnOp::get(receipt_key, None)).chain(count).collect::<Vec<_>>());
    Ok(vec![TxnOp::txn(txn)])
}

fn register(
    connection: &Connection,
    lease: LeaseId,
    keys: &Keys,
) -> Result<Vec<TxnOp>, serde_json::Error> {
    let options = || Some(PutOptions::new().with_lease(lease));
    let record = records::encode_connection(connection)?;
    Ok(keys
        .registration(connection)
        .map(|key| TxnOp::put(key, record.as_slice(), options()))
        .collect())
}

fn unregister(connection: &Connection, keys: &Keys) -> Vec<TxnOp> {
    let delete = |key| TxnOp::delete(key, None::<DeleteOptions>);
    keys.registration(connection).map(delete).collect()
}

/// What a part of the answer says of an event.
fn appended(
    new: &NewEvent,
    index: u16,
    revision: u64,
    epoch: &Epoch,
    part: Vec<TxnOpResponse>,
) -> Result<Appended, AnswerError> {
    let mut responses = part;
    let mut receipt = None;
    if let [TxnOpResponse::Txn(nested)] = responses.as_slice() {
        let first_time = nested.succeeded();
        responses = nested.op_responses();
        if !first_time {
            receipt = responses.first().and_then(get).and_then(|get| get.kvs().first().cloned());
        }
    }
    let count = new.presence_of.is_some().then(|| responses.last().and_then(get)).flatten();
    let recipient_connections = count.and_then(|get| u64::try_from(get.count()).ok());
    let Some(receipt_pair) = receipt else {
        return Ok(Appended {
            event_id: new.event.id,
            cursor: cursor(epoch, revision, u32::from(index)),
            created_at: new.event.created_at,
            duplicate: false,
            recipient_connections,
        });
    };
    let first = records::decode_receipt(receipt_pair.value()).map_err(AnswerError::Unreadable)?;
    if new.receipt.as_ref().is_some_and(|own| own.fingerprint != first.fingerprint) {
        return Err(AnswerError::Conflict);
    }
    let created_in = u64::try_from(receipt_pair.create_revision()).unwrap_or_default();
    Ok(Appended {
        event_id: first.event_id,
        cursor: cursor(epoch, created_in, first.index),
        created_at: first.created_at,
        duplicate: true,
        recipient_connections,
    })
}

fn cursor(epoch: &Epoch, revision: u64, index: u32) -> Cursor {
    Cursor { epoch: epoch.clone(), position: Position::new(revision, index) }
}

fn get(response: &TxnOpResponse) -> Option<&GetResponse> {
    match response {
        TxnOpResponse::Get(get) => Some(get),
        TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
    }
}
