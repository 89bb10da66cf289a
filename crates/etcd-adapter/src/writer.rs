//! The tasks of a node that write to etcd, one for each lane of the [queue](crate::write_queue).
//!
//! While one transaction is on its way the next fills up, so the more there is to do, the less
//! each costs; an idle writer does not wait for company. (That of the registry rests a little between
//! two: nobody feels it, and a crowd costs etcd less.) A lane never has more than one on its way: what
//! is queued in it first is committed first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use etcd_client::{Txn, TxnResponse};
use game_realtime_application::{
    panics::panic_point,
    ports::{Clock, StoreError, StoreErrorKind},
    trace::Span,
};
use game_realtime_domain::{Connection, Epoch, PerClass, RetentionClass};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, yield_now},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    batch::{Batch, Context, Encoded, Shape, Write},
    cluster::CallError,
    epoch::{EpochCell, revision},
    keys::Keys,
    leases::Leases,
    local_registry::LocalRegistry,
    log::{reader::LogReader, segments::Writing},
    receipt_leases::ReceiptLeases,
};

/// How often a transaction is sent of which nothing was written, because a lease is gone or a segment
/// of the log has ended.
const ATTEMPTS: usize = 3;

pub(crate) struct Writer {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) log: LogReader,
    pub(crate) epoch: Arc<EpochCell>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) receipts: Arc<ReceiptLeases>,
    pub(crate) registry: Arc<LocalRegistry>,
    /// Whether the last transaction failed: an outage is logged once, not at every transaction.
    pub(crate) failing: AtomicBool,
    /// Which lane it serves, for metrics.
    pub(crate) lane: &'static str,
    /// How long a transaction at least is after the one before, unless the lane has filled it.
    pub(crate) pause: Duration,
}

/// Why a batch could not be written.
#[derive(Debug)]
enum Failure {
    Call(CallError),
    Store(StoreError),
    Encode(serde_json::Error),
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Described(String);

#[derive(Debug, thiserror::Error)]
#[error("where the log's segments begin is not known")]
struct SegmentEnded;

/// What comes out of the queue, batch by batch.
struct Filling {
    queue: mpsc::Receiver<Write>,
    batch: Batch,
    /// Did not fit into the batch and goes into the next.
    held_back: Option<Write>,
}

/// A batch as a transaction.
struct Prepared {
    txn: Txn,
    shape: Shape,
    epoch: Epoch,
}

impl Filling {
    /// Whether the batch takes no more.
    fn is_full(&self) -> bool {
        self.held_back.is_some() || self.batch.is_full()
    }

    fn add(&mut self, write: Write, keys: &Keys) {
        if write.is_abandoned() {
            write.abandon();
        } else {
            self.held_back = self.batch.add(write, keys).err();
        }
    }

    /// Takes what is queued, without waiting.
    fn take_queued(&mut self, keys: &Keys) {
        while !self.is_full() {
            let Ok(write) = self.queue.try_recv() else { break };
            self.add(write, keys);
        }
    }

    /// Takes the batch and begins the next one.
    fn take(&mut self, keys: &Keys) -> Batch {
        let batch = std::mem::take(&mut self.batch);
        if let Some(write) = self.held_back.take() {
            self.add(write, keys);
        }
        batch
    }
}

impl Writer {
    /// Writes what comes until it is stopped, then what is queued.
    pub(crate) async fn run(self, queue: mpsc::Receiver<Write>, stop: CancellationToken) {
        let mut filling = Filling { queue, batch: Batch::default(), held_back: None };
        loop {
            let closed = filling.queue.is_closed();
            if filling.batch.is_empty() {
                tokio::select! {
                    biased;
                    () = stop.cancelled(), if !closed => filling.queue.close(),
                    write = filling.queue.recv() => match write {
                        Some(write) => filling.add(write, &self.log.keys),
                        None => return,
                    },
                }
            }
            // Those who were answered together write again together: let them.
            yield_now().await;
            let delay = self.log.cluster.space().delay();
            if filling.batch.appends() && !delay.is_zero() {
                sleep(delay).await;
            }
            filling.take_queued(&self.log.keys);
            let mut batch = filling.take(&self.log.keys);
            #[expect(clippy::cast_precision_loss, reason = "the queue is bounded")]
            metrics::gauge!("game_realtime_commit_queue_writes", "lane" => self.lane)
                .set(filling.queue.len() as f64);
            if batch.is_empty() {
                continue;
            }
            panic_point("store writer");
            let started = Instant::now();
            let size = batch.len();
            let span = batch.begin(self.lane);
            match self.write(&batch, &mut filling).await {
                Ok((response, Prepared { shape, epoch, .. })) => {
                    drop(span);
                    self.log.segments.observe(revision(response.header()));
                    batch.answer(&response, shape, &epoch);
                    self.record(started.elapsed(), size);
                    self.rest(&mut filling).await;
                }
                Err(failure) => self.fail(batch, span, failure),
            }
        }
    }

    /// Lets the next batch fill up.
    async fn rest(&self, filling: &mut Filling) {
        let pause = sleep(self.pause);
        tokio::pin!(pause);
        while !self.pause.is_zero() && !filling.is_full() {
            tokio::select! {
                () = &mut pause => return,
                Some(write) = filling.queue.recv() => filling.add(write, &self.log.keys),
            }
        }
    }

    /// Has a batch committed. While it is on its way the next one fills up.
    async fn write(
        &self,
        batch: &Batch,
        filling: &mut Filling,
    ) -> Result<(TxnResponse, Prepared), Failure> {
        let mut attempt = 1;
        loop {
            // Here and not while the last one is on its way, so that keys sort as commits do.
            let mut prepared = self.prepare(batch).await?;
            let mut call = self.send(std::mem::take(&mut prepared.txn));
            let result = loop {
                let full = filling.is_full();
                tokio::select! {
                    biased;
                    result = &mut call => break result,
                    Some(write) = filling.queue.recv(), if !full => {
                        filling.add(write, &self.log.keys);
                        filling.take_queued(&self.log.keys);
                    }
                }
            };
            match result {
                Ok(Ok(response)) if response.succeeded() => return Ok((response, prepared)),
                Ok(Ok(_)) if attempt < ATTEMPTS => {
                    // Nothing was written: this node has missed where segments began.
                    debug!(attempt, "transaction was written for a segment that has ended");
                    attempt += 1;
                    self.log.load_segments().await.map_err(Failure::Store)?;
                }
                Ok(Ok(_)) => return Err(Failure::Store(StoreError::unavailable(SegmentEnded))),
                Ok(Err(error)) if error.is_lease_not_found() && attempt < ATTEMPTS => {
                    // Nothing was written. Get the leases in order and try again.
                    debug!(attempt, "transaction names a lease that is gone");
                    attempt += 1;
                    self.receipts.forget();
                    self.restore_leases().await.map_err(Failure::Call)?;
                }
                Ok(Err(error)) => return Err(Failure::Call(error)),
                Err(ended) => return Err(Failure::Store(StoreError::unavailable(ended))),
            }
        }
    }

    /// Sends a transaction in a task of its own, so that it goes on while this one works. The task
    /// ends with the call's deadline at the latest.
    fn send(&self, txn: Txn) -> JoinHandle<Result<TxnResponse, CallError>> {
        let cluster = Arc::clone(&self.log.cluster);
        tokio::spawn(async move { cluster.kv(|mut kv| async move { kv.txn(txn).await }).await })
    }

    async fn prepare(&self, batch: &Batch) -> Result<Prepared, Failure> {
        let epoch = self.epoch.get().await.map_err(Failure::Store)?;
        let receipts = batch.receipts();
        let mut receipt_leases = PerClass::default();
        for class in RetentionClass::ALL {
            let receipts = *receipts.of(class);
            if receipts > 0 {
                let lease = self.receipts.lease_for(class, receipts).await;
                *receipt_leases.of_mut(class) = Some(lease.map_err(Failure::Call)?);
            }
        }
        let writing = if batch.appends() { Some(self.writing().await?) } else { None };
        let context = Context { keys: &self.log.keys, writing: writing.as_ref(), receipt_leases };
        let lease_of =
            |connection: &Connection| self.registry.get(connection.id).map(|local| local.lease);
        let Encoded { txn, shape } = batch.encode(&context, lease_of).map_err(Failure::Encode)?;
        Ok(Prepared { txn, shape, epoch })
    }

    /// What a transaction has to know of the log.
    async fn writing(&self) -> Result<Writing, Failure> {
        let now = self.clock.now();
        if let Some(writing) = self.log.segments.writing(now) {
            return Ok(writing);
        }
        self.log.load_segments().await.map_err(Failure::Store)?;
        let none = || Failure::Store(StoreError::unavailable(SegmentEnded));
        self.log.segments.writing(now).ok_or_else(none)
    }

    /// Gives connections whose lease is gone another one; the keeper writes them again.
    async fn restore_leases(&self) -> Result<(), CallError> {
        self.leases.renew().await?;
        self.registry.note_lost(&self.leases);
        self.registry.assign_leases(&self.leases).await?;
        self.leases.suspect();
        Ok(())
    }

    fn fail(&self, batch: Batch, mut span: Span, failure: Failure) {
        metrics::gauge!("game_realtime_store_up").set(0.0);
        let (message, corrupt) = match failure {
            Failure::Call(error) => (StoreError::from(error).source.to_string(), false),
            Failure::Store(error) => (error.source.to_string(), false),
            Failure::Encode(error) => (error.to_string(), true),
        };
        let kind = if corrupt { StoreErrorKind::Corrupt } else { StoreErrorKind::Unavailable };
        span.fail(kind.as_str());
        drop(span);
        if corrupt || !self.failing.swap(true, Ordering::Relaxed) {
            warn!(error = message, writes = batch.len(), "transaction failed");
        } else {
            debug!(error = message, writes = batch.len(), "transaction failed again");
        }
        batch.fail(|| StoreError { kind, source: Box::new(Described(message.clone())) });
    }

    fn record(&self, took: Duration, size: usize) {
        if self.failing.swap(false, Ordering::Relaxed) {
            info!("transactions succeed again");
        }
        metrics::gauge!("game_realtime_store_up").set(1.0);
        metrics::histogram!("game_realtime_commit_seconds").record(took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        metrics::histogram!("game_realtime_commit_batch_events").record(size as f64);
    }
}
