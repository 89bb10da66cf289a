//! One node's feed: the log from a position on, in stretches, with delays and breaks.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use game_realtime_application::{
    HistoryBuilder, TimelineLimits,
    ports::{Clock, EventFeed, FeedStream, FeedUpdate, FollowError, History, StoreError},
};
use game_realtime_domain::{Cursor, Epoch, Position};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Link, unavailable};
use crate::world::note;

/// How long a feed is silent before it says that nothing happened.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// After so much silence a feed is given up.
const SILENCE: Duration = Duration::from_secs(5);

pub(crate) struct Feed {
    pub(crate) link: Arc<Link>,
    /// The clock of the node.
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl EventFeed for Feed {
    async fn end(&self) -> Result<Cursor, StoreError> {
        let link = &self.link;
        link.ask().await.inspect_err(|_| link.note_failure())?;
        let end = {
            let state = link.world.store.state();
            let position = Position::after_revision(state.revision);
            Cursor { epoch: state.epoch.clone(), position }
        };
        sleep(link.latency()).await;
        Ok(end)
    }

    async fn recent(&self, limits: TimelineLimits) -> Result<History, StoreError> {
        let link = &self.link;
        link.check_pace().await;
        link.ask().await.inspect_err(|_| link.note_failure())?;
        let (epoch, end, head) = {
            let state = link.world.store.state();
            let last = state.log.last().map(|entry| entry.event.position);
            let head = match last {
                Some(last) if link.random.chance(50) => last,
                Some(_) | None => Position::after_revision(state.revision),
            };
            (state.epoch.clone(), state.log.len(), head)
        };
        let mut history = HistoryBuilder::new(limits, self.clock.now());
        history.pass_over(head);
        // From the newest, in stretches, while the log is trimmed at its other end.
        let mut next = end;
        let pruned_at_first = link.world.store.state().pruned;
        let pruned = loop {
            let stretch = link.random.size(1..=*link.random.pick(&[1, 10, 1000]));
            {
                let state = link.world.store.state();
                let from = next.saturating_sub(stretch).max(state.pruned.min(next));
                for entry in state.log[from..next].iter().rev() {
                    if entry.readable {
                        history.add(entry.event.clone());
                    } else {
                        history.pass_over(entry.event.position);
                    }
                }
                next = from;
                if next <= state.pruned || history.floor() > Position::START {
                    if state.pruned > pruned_at_first {
                        link.world.tally.count("histories pruned while they are read");
                    }
                    break state.floor();
                }
            }
            sleep(link.latency()).await;
            if link.world.plan.prunes && !link.world.is_settling() && link.random.chance(10) {
                let mut state = link.world.store.state();
                state.pruned = state.pruned.max(link.random.below(state.log.len() + 1));
            }
        };
        let history = history.build(epoch, pruned);
        // It is old when it arrives.
        sleep(link.latency()).await;
        link.tell_head(history.head);
        note!(link.world, "{} starts from {}", link.node_id, history.head);
        Ok(history)
    }

    async fn follow(
        &self,
        epoch: &Epoch,
        after: Position,
    ) -> Result<Box<dyn FeedStream>, FollowError> {
        let link = Arc::clone(&self.link);
        link.world.tally.count("feeds opened");
        link.check_pace().await;
        link.ask().await.inspect_err(|_| link.note_failure())?;
        let foreign = {
            let state = link.world.store.state();
            *epoch != state.epoch || after > Position::after_revision(state.revision)
        };
        if foreign {
            // It may happen to others, but not to who only repeats what this store told.
            link.world.violated(format!("{} follows from {after}, unheard of", link.node_id));
            return Err(FollowError::Lost);
        }
        let breaks = link.breaks();
        let stream = Stream { link, position: after, breaks };
        if stream.is_lost() { Err(stream.lost()) } else { Ok(Box::new(stream)) }
    }
}

struct Stream {
    link: Arc<Link>,
    position: Position,
    /// How often feeds had broken when this one was opened.
    breaks: u64,
}

impl Stream {
    fn is_lost(&self) -> bool {
        self.link.world.store.state().floor() > self.position
    }

    fn lost(&self) -> FollowError {
        self.link.tell_lost();
        self.link.note_failure();
        self.link.world.tally.count("events lost for a node");
        note!(self.link.world, "{} lost its place {}", self.link.node_id, self.position);
        FollowError::Lost
    }

    fn is_broken(&self) -> bool {
        self.breaks != self.link.breaks()
    }

    /// Some of the next events: nothing is remembered as told before the caller has it.
    fn take(&mut self) -> FeedUpdate {
        let link = &self.link;
        let state = link.world.store.state();
        let start = state.index_after(self.position);
        let most = link.random.size(1..=*link.random.pick(&[1, 4, 100]));
        let seen = &state.log[start..];
        let seen = &seen[..most.min(seen.len())];
        let readable = seen.iter().filter(|entry| entry.readable);
        let events: Vec<_> = readable.map(|entry| entry.event.clone()).collect();
        let all = start + seen.len() == state.log.len();
        let last = seen.last().map_or(self.position, |entry| entry.event.position);
        // The store's revision also says where the feed is, if nothing happened up to there.
        // When it is quiet it must say so: others may have been told already.
        let beyond = all && (seen.is_empty() || link.random.chance(30));
        let head = if beyond { Position::after_revision(state.revision) } else { last };
        drop(state);
        self.position = head.max(last);
        link.tell_head(self.position);
        FeedUpdate { events, head: self.position }
    }
}

#[async_trait]
impl FeedStream for Stream {
    async fn next(&mut self) -> Result<FeedUpdate, FollowError> {
        let quiet_until = Instant::now() + SIGN_OF_LIFE;
        let world = Arc::clone(&self.link.world);
        loop {
            if self.is_broken() {
                return Err(unavailable().into());
            }
            if self.is_lost() {
                return Err(self.lost());
            }
            // Made before anything is looked at, so that no change is missed.
            let changed = world.store.changed.notified();
            if self.link.is_cut() {
                let silence = async {
                    while self.link.is_cut() {
                        world.store.changed.notified().await;
                    }
                };
                if timeout(SILENCE, silence).await.is_err() {
                    return Err(unavailable().into());
                }
                continue;
            }
            let more = {
                let state = world.store.state();
                state.index_after(self.position) < state.log.len()
            };
            if more {
                // Sometimes at once, sometimes with what else comes meanwhile.
                if !self.link.random.chance(30) {
                    sleep(self.link.latency()).await;
                }
                if self.is_broken() || self.link.is_cut() || self.is_lost() {
                    continue;
                }
                return Ok(self.take());
            }
            if timeout_at(quiet_until, changed).await.is_err() {
                return Ok(self.take());
            }
        }
    }
}
