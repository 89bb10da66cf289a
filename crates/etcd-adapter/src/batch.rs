//! One transaction of the writer: what goes in, and what each part of the answer means.

mod answer;

use std::collections::HashMap;

use etcd_client::{
    Compare, CompareOp, DeleteOptions, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse,
    TxnResponse,
};
use game_realtime_application::{
    NewEvent,
    ports::{AppendError, Appended, SpanKind, StoreError},
    trace::Span,
};
use game_realtime_domain::{Connection, Epoch, PerClass};
use tokio::sync::oneshot;
use uuid::Uuid;

use self::answer::committed;
use crate::{
    epoch::revision,
    keys::{EventKey, Keys},
    leases::LeaseId,
    log::segments::Writing,
    records,
};

/// Operations of a transaction. It bounds how long one keeps etcd from the next. etcd keeps its last
/// transactions in memory, so small ones would save memory, but cost too much: with 128 operations a
/// quarter fewer events are committed (1 024 messages in flight, etcd and node on two cores).
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
/// Repeats that are answered together with what they repeat.
const REPEATS: usize = 8192;

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
    receipts: Receipts,
    registrations: usize,
    /// Whether one of its events is traced.
    traced: bool,
    /// What the keys are that etcd would refuse to write twice, and whose they are.
    keys: HashMap<String, usize>,
    /// Requests that repeat one of the writes: by its place, with those who wait for an answer.
    repeats: HashMap<usize, Vec<Repeat>>,
    repeated: usize,
}

/// How many receipts of each class.
pub(crate) type Receipts = PerClass<usize>;

/// A request that is answered by what becomes of an equal one in the same transaction.
struct Repeat {
    fingerprint: Uuid,
    span: Span,
    answer: oneshot::Sender<Result<Appended, AppendError>>,
}

/// What encoding a batch needs to know.
pub(crate) struct Context<'a> {
    pub(crate) keys: &'a Keys,
    /// Set if the batch appends events.
    pub(crate) writing: Option<&'a Writing>,
    pub(crate) receipt_leases: PerClass<Option<LeaseId>>,
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
        let write = match key.as_ref().and_then(|key| self.keys.get(key)) {
            Some(place) => return self.repeat(*place, write),
            None => write,
        };
        let fits = self.operations + operations <= OPERATIONS
            && self.registrations < REGISTRATIONS
            && (self.bytes + bytes <= BYTES || self.writes.is_empty());
        if !fits {
            return Err(write);
        }
        match &write {
            Write::Append { event, span, .. } => {
                let class = event.event.payload.event_type.retention_class();
                *self.receipts.of_mut(class) += usize::from(event.receipt.is_some());
                self.traced |= span.is_recording();
            }
            Write::Register { .. } | Write::Unregister { .. } => self.registrations += 1,
        }
        self.operations += operations;
        self.bytes += bytes;
        self.keys.extend(key.map(|key| (key, self.writes.len())));
        self.writes.push(write);
        Ok(())
    }

    /// Adds a request that repeats one of the batch, so that the two share a write. A change of the
    /// registry has to wait: the second undoes the first.
    fn repeat(&mut self, place: usize, write: Write) -> Result<(), Write> {
        match write {
            Write::Append { event, span, answer } if self.repeated < REPEATS => {
                let Some(receipt) = &event.receipt else {
                    return Err(Write::Append { event, span, answer });
                };
                let repeat = Repeat { fingerprint: receipt.fingerprint, span, answer };
                self.repeats.entry(place).or_default().push(repeat);
                self.repeated += 1;
                Ok(())
            }
            write @ (Write::Append { .. } | Write::Register { .. } | Write::Unregister { .. }) => {
                Err(write)
            }
        }
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
    pub(crate) fn receipts(&self) -> Receipts {
        self.receipts
    }

    /// Whether it appends events.
    pub(crate) fn appends(&self) -> bool {
        self.writes.len() > self.registrations
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
        let mut txn = Txn::new();
        if let Some(writing) = context.writing {
            operations.extend(writing.begin_next(context.keys)?);
            txn = txn.when(writing.guards(context.keys));
        }
        let is_nested = operations.len() > NESTED;
        let operations = if is_nested { nested(operations) } else { operations };
        Ok(Encoded { txn: txn.and_then(operations), shape: Shape { parts, is_nested } })
    }

    /// Tells everybody what became of their write.
    pub(crate) fn answer(mut self, response: &TxnResponse, shape: Shape, epoch: &Epoch) {
        let revision = revision(response.header());
        let mut responses = response.op_responses();
        if shape.is_nested {
            responses = unnested(responses);
        }
        let mut responses = responses.into_iter();
        for (place, (write, part)) in self.writes.into_iter().zip(shape.parts).enumerate() {
            let part: Vec<_> = responses.by_ref().take(part).collect();
            match write {
                Write::Append { event, mut span, answer } => {
                    span.set("etcd.revision", revision);
                    drop(span);
                    let committed = committed(&event, index(place), revision, epoch, part);
                    for repeat in self.repeats.remove(&place).into_iter().flatten() {
                        let result = match &committed {
                            Ok(committed) => committed.answer(repeat.fingerprint, true),
                            Err(error) => Err(StoreError::corrupt(error.clone()).into()),
                        };
                        drop(repeat.span);
                        repeat.answer.send(result).ok();
                    }
                    let fingerprint = event.receipt.map(|receipt| receipt.fingerprint);
                    let result = match committed {
                        Ok(committed) => committed.answer(
                            fingerprint.unwrap_or(committed.fingerprint),
                            committed.appended.duplicate,
                        ),
                        Err(error) => Err(StoreError::corrupt(error).into()),
                    };
                    answer.send(result).ok();
                }
                Write::Register { answer, .. } | Write::Unregister { answer, .. } => {
                    answer.send(Ok(revision)).ok();
                }
            }
        }
    }

    /// Tells everybody that their write failed.
    pub(crate) fn fail(self, error: impl Fn() -> StoreError) {
        for Repeat { mut span, answer, .. } in self.repeats.into_values().flatten() {
            let error = error();
            span.fail(error.kind.as_str());
            drop(span);
            answer.send(Err(error.into())).ok();
        }
        for write in self.writes {
            write.fail(error());
        }
    }
}

/// A transaction, and how its answer is to be read.
pub(crate) struct Encoded {
    pub(crate) txn: Txn,
    pub(crate) shape: Shape,
}

/// How the answer to a transaction is to be read.
pub(crate) struct Shape {
    /// How many of the operations belong to each write.
    parts: Vec<usize>,
    is_nested: bool,
}

/// The place of a write among those of its transaction, from 1.
fn index(place: usize) -> u16 {
    // A batch holds no more than OPERATIONS writes.
    u16::try_from(place + 1).unwrap_or(u16::MAX)
}

/// The same operations in the same order, as transactions of [`NESTED`] each.
fn nested(operations: Vec<TxnOp>) -> Vec<TxnOp> {
    let mut rest = operations.into_iter().peekable();
    let mut nested = Vec::with_capacity(OPERATIONS / NESTED);
    while rest.peek().is_some() {
        let some: Vec<_> = rest.by_ref().take(NESTED).collect();
        nested.push(TxnOp::txn(Txn::new().and_then(some)));
    }
    nested
}

/// What etcd says of each of the operations that [`nested`] was given.
fn unnested(responses: Vec<TxnOpResponse>) -> Vec<TxnOpResponse> {
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
    let event_type = new.event.payload.event_type;
    let key = keys.event(&EventKey {
        event_type,
        known: context.writing.map(|writing| writing.revision).unwrap_or_default(),
        place: index,
        namespace: new.event.namespace,
        route: new.route.clone(),
        id: new.event.id,
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
    let lease = *context.receipt_leases.of(event_type.retention_class());
    let options = lease.map(|lease| PutOptions::new().with_lease(lease));
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
