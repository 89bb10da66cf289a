//! One node's writes: batches that travel to the store, are committed there or not, and whose
//! answers travel back or not. And the keeper, which mends the registry.

use std::{sync::Arc, time::Duration};

use game_realtime_application::{
    NewEvent,
    ports::{AppendError, Appended},
};
use game_realtime_domain::{Connection, ConnectionId, Recipient};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::link::{Link, REQUEST_TIMEOUT};
use crate::world::note;

/// What can be written.
pub(super) enum Work {
    Append(NewEvent),
    Register(Connection),
    Unregister(ConnectionId),
    Order(Recipient),
}

/// What becomes of it.
pub(super) enum Answered {
    Appended(Result<Appended, AppendError>),
    /// Whether it was done.
    Done(bool),
    /// How many connections are to be ended.
    Ordered(u64),
}

/// Work that waits for its turn.
pub(super) struct Queued {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Answered>,
}

impl Link {
    /// Writes what is queued, one batch after the other, so that what was queued first is
    /// committed first.
    pub(crate) async fn run_writer(self: Arc<Self>) {
        loop {
            let batch = self.next_batch();
            if batch.is_empty() {
                self.queued.notified().await;
                continue;
            }
            let (work, waiting): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|queued| (queued.work, queued.answer)).unzip();
            let (answer, answered) = oneshot::channel();
            // On its way it no longer depends on the node: it may arrive after anybody gave up
            // on it, or after the node died.
            tokio::spawn(Arc::clone(&self).travel(work, answer));
            if let Ok(Ok(answers)) = timeout(REQUEST_TIMEOUT, answered).await {
                for (waiting, answer) in waiting.into_iter().zip(answers) {
                    // Who has given up asks again.
                    waiting.send(answer).ok();
                }
            }
        }
    }

    fn next_batch(&self) -> Vec<Queued> {
        let mut queue = self.queue.lock().unwrap();
        // Nobody waits for these any more: they were answered, so they must not happen.
        queue.retain(|queued| !queued.answer.is_closed());
        let size = self.random.size(1..=8).min(queue.len());
        queue.drain(..size).collect()
    }

    async fn travel(self: Arc<Self>, work: Vec<Work>, answer: oneshot::Sender<Vec<Answered>>) {
        let tally = &self.world.tally;
        let lost = self.loses_one();
        sleep(self.latency()).await;
        if lost || self.is_cut() {
            tally.count("requests lost");
            return std::future::pending().await;
        }
        let answers = self.commit(work);
        let lost = self.loses_one();
        sleep(self.latency()).await;
        if lost || self.is_cut() {
            tally.count("answers lost after commit");
            return std::future::pending().await;
        }
        if answer.send(answers).is_err() {
            tally.count("answers too late");
        }
    }

    fn commit(&self, work: Vec<Work>) -> Vec<Answered> {
        let held = self.lease_held.load(std::sync::atomic::Ordering::Relaxed);
        let mut transaction = self.world.store.transaction();
        let mut answers = Vec::with_capacity(work.len());
        for work in work {
            answers.push(match work {
                Work::Append(event) => Answered::Appended(transaction.append(&event)),
                Work::Register(connection) => {
                    // What has ended meanwhile stays away, however late this arrives.
                    let mut local = self.local.lock().unwrap();
                    let live = local.live.contains_key(&connection.id);
                    if held && live {
                        let since = transaction.register(&connection);
                        local.since.entry(connection.id).or_insert(since);
                    }
                    Answered::Done(held && live)
                }
                Work::Unregister(id) => {
                    transaction.unregister(id);
                    Answered::Done(true)
                }
                Work::Order(target) => Answered::Ordered(transaction.order(&target)),
            });
        }
        answers
    }

    /// Renews the lease, registers again what was lost with it, removes what should be gone.
    pub(crate) async fn run_keeper(self: Arc<Self>) {
        loop {
            sleep(self.random.millis(300..=1500)).await;
            if self.is_cut() {
                continue;
            }
            if !self.lease_held.swap(true, std::sync::atomic::Ordering::Relaxed) {
                let mut local = self.local.lock().unwrap();
                local.unregistered = local.live.keys().copied().collect();
                note!(self.world, "{} registers again: {}", self.node_id, local.unregistered.len());
            }
            let (again, leftovers): (Vec<_>, Vec<_>) = {
                let local = self.local.lock().unwrap();
                let again = local.unregistered.iter().filter_map(|id| local.live.get(id)).cloned();
                (again.collect(), local.leftovers.keys().copied().collect())
            };
            for connection in again {
                let id = connection.id;
                if self.is_done(Work::Register(connection)).await {
                    self.local.lock().unwrap().unregistered.remove(&id);
                    self.world.tally.count("connections registered again");
                }
            }
            for id in leftovers {
                if self.is_done(Work::Unregister(id)).await {
                    self.local.lock().unwrap().leftovers.remove(&id);
                    self.world.tally.count("leftovers removed");
                }
            }
        }
    }

    async fn is_done(&self, work: Work) -> bool {
        let patience = REQUEST_TIMEOUT + Duration::from_millis(1);
        matches!(timeout(patience, self.write(work)).await, Ok(Ok(Answered::Done(true))))
    }
}
