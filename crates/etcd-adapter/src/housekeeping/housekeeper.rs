//! The task of a node that keeps house, or waits until it has to.

use std::{sync::Arc, time::Duration};

use etcd_client::Txn;
use game_realtime_application::{
    RetentionPolicy,
    panics::panic_point,
    ports::{Clock, StoreError},
};
use game_realtime_domain::{NodeId, RetentionClass};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use super::{
    deletion::{Deletion, Ended},
    garbage::Garbage,
    plan,
    report::{Report, Space},
    term::Term,
};
use crate::{
    cluster::CallError,
    jitter::jittered,
    leases::Leases,
    log::{reader::LogReader, segments::Segment},
};

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(500);
/// Rounds of a node that is not the housekeeper between two looks at who is.
const STANDBY_ROUNDS: u32 = 6;
/// Rounds of such a node between two looks at where the log begins.
const REFRESH_ROUNDS: u32 = 120;
/// Segments of purchases that are joined in one round.
const JOINED_AT_ONCE: usize = 8;
/// Segments of purchases that are joined span at most this part of their retention.
const JOINED_PART: u32 = 24;

pub(crate) struct Housekeeper {
    pub(crate) node_id: NodeId,
    pub(crate) log: LogReader,
    pub(crate) leases: Arc<Leases>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retention: RetentionPolicy,
    /// In bytes; `None`: there is none.
    pub(crate) space_budget: Option<u64>,
    /// `None`: compaction is left to etcd.
    pub(crate) compaction_interval: Option<Duration>,
}

/// What the task remembers from round to round.
#[derive(Default)]
pub(super) struct Memory {
    term: Option<Term>,
    rounds: u32,
    pub(super) garbage: Garbage,
    compacting: Option<AbortOnDropHandle<(u64, Result<(), CallError>)>>,
    is_compaction_failing: bool,
    /// Whether what etcd held at the start is compacted: until then nobody knows what of it is garbage.
    is_settled: bool,
    is_format_1_removed: bool,
    pub(super) report: Report,
    /// What etcd's file held when it was out of space: its quota, as far as that is known.
    full_at: Option<u64>,
}

impl Housekeeper {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let mut memory = Memory::default();
        let mut failing = false;
        loop {
            sleep(jittered(PAUSE)).await;
            panic_point("housekeeper");
            match self.round(&mut memory).await {
                Ok(()) => failing = false,
                Err(Ended::Term) => {
                    info!("another node keeps house");
                    memory.term = None;
                }
                Err(Ended::Store(error)) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(cause = %error.source, "the store is not kept in order, trying again");
                    }
                }
            }
        }
    }

    async fn round(&self, memory: &mut Memory) -> Result<(), Ended> {
        let is_exhausted = self.log.cluster.space().is_exhausted();
        let space = self.space(memory).await?;
        let budget = space.and_then(|space| self.measure(memory, space, is_exhausted));
        self.report_window();
        if memory.term.is_none() && !is_exhausted {
            self.begin_term(memory).await?;
            if memory.term.is_none() {
                return Ok(());
            }
        }
        let is_space_stale = self.compact(memory, space, budget).await?;
        let term = memory.term.clone();
        let deletion = Deletion { cluster: &self.log.cluster, term: term.as_ref() };
        if !memory.is_format_1_removed {
            self.remove_format_1(&deletion).await?;
            memory.is_format_1_removed = true;
        }
        self.expire(memory, &deletion).await?;
        if let Some((space, budget)) =
            space.zip(budget).filter(|_| memory.is_settled && !is_space_stale)
        {
            self.prune(memory, &deletion, space, budget).await?;
        }
        if !is_exhausted {
            self.end_segment().await?;
            self.join_segments(&deletion).await?;
        }
        Ok(())
    }

    /// Ends the newest segment if it is old enough and nobody writes: its events would stay too long.
    async fn end_segment(&self) -> Result<(), Ended> {
        let writing = self.log.segments.writing(self.clock.now());
        let next = writing.map(|writing| writing.begin_next(&self.log.keys)).transpose();
        let Some(next) = next.map_err(StoreError::corrupt)?.flatten() else { return Ok(()) };
        let txn = Txn::new().and_then([next]);
        self.log.cluster.kv(|mut kv| async move { kv.txn(txn).await }).await?;
        Ok(())
    }

    /// What etcd says of its space; `None` if it does not say so to the node's user.
    async fn space(&self, memory: &mut Memory) -> Result<Option<Space>, Ended> {
        let status = match self.log.cluster.status().await {
            Err(error) if error.is_denied() => {
                memory.report.is_hidden(true);
                return Ok(None);
            }
            status => status?,
        };
        memory.report.is_hidden(false);
        let bytes = |bytes| u64::try_from(bytes).unwrap_or_default();
        Ok(Some(Space {
            file: bytes(status.db_size()),
            in_use: bytes(status.raft_used_db_size()),
            quota: Some(bytes(status.db_size_quota())).filter(|quota| *quota > 0),
        }))
    }

    /// Notes what etcd holds. Returns what it may.
    fn measure(&self, memory: &mut Memory, space: Space, is_exhausted: bool) -> Option<u64> {
        if is_exhausted {
            memory.full_at.get_or_insert(space.file);
        } else if memory.full_at.is_some_and(|full_at| space.file > full_at / 8 * 9) {
            // Somebody has raised the quota.
            memory.full_at = None;
        }
        let budget = self.budget(memory, space);
        self.log.cluster.space().holds(space.in_use, budget);
        memory.garbage.in_use(space.in_use);
        memory.report.space(space, self.space_budget);
        budget
    }

    /// Publishes how far back the log reaches.
    fn report_window(&self) {
        let now = self.clock.now().as_millis();
        for (class, label) in
            [(RetentionClass::State, "state"), (RetentionClass::Purchases, "purchases")]
        {
            let Some(oldest) = self.log.segments.of(class).first().copied() else { continue };
            let begun_at = oldest.segment.record.begun_at.as_millis();
            let window = Duration::from_millis(now.saturating_sub(begun_at));
            metrics::gauge!("game_realtime_log_window_seconds", "class" => label)
                .set(window.as_secs_f64());
        }
    }

    /// What may be kept: within the budget, and with room to spare within etcd's quota if that is known.
    fn budget(&self, memory: &Memory, space: Space) -> Option<u64> {
        let budget = self.space_budget?;
        let quota = space.quota.or(memory.full_at);
        Some(quota.map_or(budget, |quota| budget.min(quota / 4 * 3)))
    }

    async fn begin_term(&self, memory: &mut Memory) -> Result<(), Ended> {
        memory.rounds += 1;
        if memory.rounds.is_multiple_of(REFRESH_ROUNDS) {
            // Nobody tells which segments are gone.
            self.log.load_segments().await?;
        }
        let Some(lease) = self.leases.held().first().copied() else { return Ok(()) };
        if !memory.rounds.is_multiple_of(STANDBY_ROUNDS) {
            return Ok(());
        }
        let cluster = &self.log.cluster;
        memory.term = Term::begin(cluster, &self.log.keys, self.node_id, lease).await?;
        if memory.term.is_some() {
            info!("this node keeps house");
            memory.is_settled = false;
            self.log.load_segments().await?;
        }
        Ok(())
    }

    /// Removes what releases before format 2 left behind.
    async fn remove_format_1(&self, deletion: &Deletion<'_>) -> Result<(), Ended> {
        let mut removed = 0;
        let (from, end) = self.log.keys.format_1();
        deletion.range(from, end, |deleted| removed += deleted.keys).await?;
        if removed > 0 {
            info!(events = removed, "events of an older release's format removed");
        }
        Ok(())
    }

    /// Begins a compaction if it is time, and notes one that has ended. Returns whether one has: what
    /// it made free is in use by `space` still, and by what etcd says until its next commit.
    async fn compact(
        &self,
        memory: &mut Memory,
        space: Option<Space>,
        budget: Option<u64>,
    ) -> Result<bool, Ended> {
        let interval = self.compaction_interval.unwrap_or_default();
        memory.garbage.passed(self.log.segments.revision(), interval);
        let Some(interval) = self.compaction_interval else {
            return self.note_compaction_by_etcd(memory).await;
        };
        let ended = memory.compacting.take_if(|running| running.is_finished());
        let has_ended = ended.is_some();
        if let Some(running) = ended {
            match running.await {
                Ok((revision, Ok(()))) => {
                    let in_use = space.map(|space| space.in_use);
                    debug!(revision, in_use, "history compacted");
                    metrics::counter!("game_realtime_compactions_total").increment(1);
                    memory.garbage.compacted(revision);
                    memory.is_settled = true;
                    memory.is_compaction_failing = false;
                }
                // Somebody else has done so.
                Ok((revision, Err(error))) if error.is_compacted() => {
                    memory.garbage.compacted(revision);
                    memory.is_settled = true;
                }
                Ok((revision, Err(error))) => {
                    memory.garbage.not_compacted();
                    // Nobody will ever know, if it is never compacted: what is too much has to go.
                    memory.is_settled = true;
                    if !std::mem::replace(&mut memory.is_compaction_failing, true) {
                        warn!(revision, ?error, "history not compacted, trying again");
                    }
                }
                // It panicked, and said so.
                Err(_) => memory.garbage.not_compacted(),
            }
        }
        if memory.compacting.is_none()
            && let Some(revision) = memory.garbage.due(interval, budget)
        {
            let cluster = Arc::clone(&self.log.cluster);
            memory.compacting = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                let to = i64::try_from(revision).unwrap_or(i64::MAX);
                (revision, cluster.compact(to).await)
            })));
        }
        Ok(has_ended)
    }

    /// Finds out whether etcd, or another program, has compacted the history.
    async fn note_compaction_by_etcd(&self, memory: &mut Memory) -> Result<bool, Ended> {
        memory.is_settled = true;
        let mut has_compacted = false;
        while let Some(oldest) = memory.garbage.oldest() {
            if !self.log.is_compacted(oldest).await? {
                break;
            }
            memory.garbage.compacted(oldest);
            has_compacted = true;
        }
        Ok(has_compacted)
    }

    /// Joins old segments of purchases that hold few, so that they do not become ever more.
    async fn join_segments(&self, deletion: &Deletion<'_>) -> Result<(), Ended> {
        let oldest = self.log.segments.of(RetentionClass::State).first().copied();
        let Some(floor) = oldest.map(|oldest| oldest.segment.start) else { return Ok(()) };
        let longest = self.retention.of(RetentionClass::Purchases).events / JOINED_PART;
        let most = self.log.segments.limits.events;
        for _ in 0..JOINED_AT_ONCE {
            let known = self.log.segments.of(RetentionClass::Purchases);
            let joined = known.windows(3).find_map(|window| match window {
                [first, second, next] if next.segment.start < floor => {
                    plan::joined(&first.segment, &second.segment, &next.segment, most, longest)
                        .map(|record| (second.segment, Segment { record, ..next.segment }))
                }
                _ => None,
            });
            let Some((second, next)) = joined else { break };
            let value = serde_json::to_vec(&next.record).map_err(StoreError::corrupt)?;
            let key = |of: &Segment| self.log.keys.segment(of.class, of.number);
            deletion.replace(key(&second), key(&next), value).await?;
            self.log.segments.forget(second.class, second.number..=second.number);
            self.log.segments.learn(next);
        }
        Ok(())
    }
}
