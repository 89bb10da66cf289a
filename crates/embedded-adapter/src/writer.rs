//! The one thread that writes. While one transaction reaches the disk, the next batch gathers in
//! the queue; nothing lingers when there is nothing to wait for.

mod batch;
mod command;
mod handle;
mod mending;
mod pruning;
mod space_watch;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use game_realtime_application::{
    RetentionPolicy,
    panics::panic_point,
    ports::{AppendError, Appended, Clock, SpanKind, StoreError},
    trace::Span,
};
use game_realtime_domain::{Cursor, Epoch};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout_at},
};
use tracing::{error, warn};

use self::{
    batch::Outcome,
    command::{Answer, Append, Batch, Command},
    space_watch::SpaceWatch,
};
use crate::{
    database::Database, fault::Fault, positions::position_of, records::Unreadable,
    registry::Registry,
};

pub(crate) use handle::WriterHandle;

/// How long an unreadable receipt is not logged again.
const RECEIPT_LOG_PAUSE: Duration = Duration::from_secs(60);

/// What the store keeps, and in how much space.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeping {
    pub(crate) retention: RetentionPolicy,
    /// How long the file may get, in bytes; 0: any length.
    pub(crate) space_budget: u64,
}

/// What the writing thread owns.
pub(crate) struct Writer {
    database: Arc<Database>,
    registry: Arc<Registry>,
    epoch: Epoch,
    /// The number of the last committed event, for those who follow.
    head: watch::Sender<u64>,
    retention: RetentionPolicy,
    clock: Arc<dyn Clock>,
    space: SpaceWatch,
    /// When to look for what is old enough.
    prune_at: Instant,
    /// When the last event was appended.
    appended_at: Instant,
    /// When an unreadable receipt was last logged.
    receipt_logged_at: Option<Instant>,
    /// Why the last write failed, if it did.
    fault: Option<Fault>,
    /// Whether the file has to be opened again before it can be used.
    must_reopen: bool,
    /// After a failure: when to try again.
    retry_at: Instant,
}

impl Writer {
    pub(crate) fn new(
        database: Arc<Database>,
        registry: Arc<Registry>,
        epoch: Epoch,
        head: watch::Sender<u64>,
        Keeping { retention, space_budget }: Keeping,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let now = Instant::now();
        Self {
            database,
            registry,
            epoch,
            head,
            retention,
            clock,
            space: SpaceWatch::new(space_budget),
            prune_at: now,
            appended_at: now,
            receipt_logged_at: None,
            fault: None,
            must_reopen: false,
            retry_at: now,
        }
    }

    /// Runs until the queue is closed and empty; then closes the file.
    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        // Only for waiting with a deadline: nothing else runs on it.
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                error!(%error, "the embedded store cannot write");
                return;
            }
        };
        report_up(true);
        let mut closing = Vec::new();
        loop {
            let next =
                runtime.block_on(async { timeout_at(self.wake_at(), commands.recv()).await });
            match next {
                Ok(Some(first)) => {
                    let batch = Batch::gather(first, &mut commands);
                    #[expect(clippy::cast_precision_loss, reason = "the queue is bounded")]
                    metrics::gauge!("game_realtime_commit_queue_writes", "lane" => "only")
                        .set(commands.len() as f64);
                    if !batch.appends.is_empty() {
                        panic_point("store writer");
                        self.commit(batch.appends);
                    }
                    for probe in batch.probes {
                        // Whoever asked may have gone.
                        probe.send(self.probe()).ok();
                    }
                    closing.extend(batch.closing);
                }
                Ok(None) => break,
                Err(_) => self.idle(),
            }
        }
        let closed = self.database.close();
        report_up(false);
        if let Err(fault) = &closed {
            warn!(error = %fault, "the embedded store did not close cleanly");
        }
        for waiting in closing {
            waiting.send(closed.clone().map_err(StoreError::from)).ok();
        }
    }

    /// Commits a batch, then answers for every event of it.
    fn commit(&mut self, mut appends: Vec<Append>) {
        let started = Instant::now();
        let mut span = begin(&mut appends);
        let written = match self.write(&appends, false) {
            Ok(written) => written,
            Err(fault) => {
                let error = StoreError::from(fault.clone());
                span.fail(error.kind.as_str());
                for mut append in appends {
                    append.span.fail(error.kind.as_str());
                    append.answer.send(Err(StoreError::from(fault.clone()).into())).ok();
                }
                return;
            }
        };
        drop(span);
        let last_event = written.ledger.last_event;
        let committed = last_event.saturating_sub(*self.head.borrow());
        if committed > 0 {
            self.appended_at = Instant::now();
            metrics::histogram!("game_realtime_commit_seconds").record(started.elapsed());
            // As a measurement; exact up to 2^53.
            metrics::histogram!("game_realtime_commit_batch_events").record(committed as f64);
        }
        // Counting and publishing under one lock makes the count exact: a connection that was
        // saved later can only join after these events.
        let presences: Vec<Option<u64>> = {
            let registry = self.registry.lock();
            self.publish(last_event);
            appends
                .iter()
                .map(|append| append.presence_of.as_ref().map(|user_id| registry.count(user_id)))
                .collect()
        };
        for ((append, outcome), presence) in
            appends.into_iter().zip(written.outcomes).zip(presences)
        {
            let answer = self.answer(&append, outcome, presence);
            // Whoever appended may have gone.
            append.answer.send(answer).ok();
        }
    }

    fn answer(&mut self, append: &Append, outcome: Outcome, presence: Option<u64>) -> Answer {
        let (event_id, number, created_at, duplicate) = match outcome {
            Outcome::Committed(number) => (append.event_id, number, append.created_at, false),
            Outcome::Duplicate(first) => (first.event_id, first.number, first.created_at, true),
            Outcome::Conflict => return Err(AppendError::IdempotencyConflict),
            Outcome::Unreadable(reason) => {
                self.report_receipt(&reason);
                return Err(StoreError::corrupt(reason).into());
            }
        };
        Ok(Appended {
            event_id,
            cursor: Cursor { epoch: self.epoch.clone(), position: position_of(number) },
            created_at,
            duplicate,
            recipient_connections: presence,
        })
    }

    /// Logs an unreadable receipt, at most once a minute: a client may repeat its request often.
    fn report_receipt(&mut self, reason: &Unreadable) {
        let now = Instant::now();
        if self.receipt_logged_at.is_none_or(|last| now.duration_since(last) > RECEIPT_LOG_PAUSE) {
            self.receipt_logged_at = Some(now);
            error!(%reason, "a receipt cannot be read: repeats of its request are refused");
        }
    }

    fn publish(&self, last_event: u64) {
        self.head.send_if_modified(|head| {
            let later = last_event > *head;
            *head = (*head).max(last_event);
            later
        });
    }
}

/// The step of committing these, if one of them is traced: of a trace of its own, to which those of
/// the events have links.
fn begin(appends: &mut [Append]) -> Span {
    let mut span = Span::none();
    for append in appends.iter_mut().filter(|append| append.span.is_recording()) {
        if !span.is_recording() {
            span = append.span.aside("embedded.transaction.commit", SpanKind::Internal);
        }
        append.span.link(span.context());
    }
    span.set("transaction.writes", u64::try_from(appends.len()).unwrap_or(u64::MAX));
    span
}

fn report_up(up: bool) {
    metrics::gauge!("game_realtime_store_up").set(if up { 1.0 } else { 0.0 });
}
