//! The promises of [`EventFeed`] and [`FeedStream`].
//!
//! [`EventFeed`]: game_realtime_application::ports::EventFeed
//! [`FeedStream`]: game_realtime_application::ports::FeedStream

use std::{sync::Arc, time::Duration};

use game_realtime_application::{
    PositionedEvent, Timeline, TimelineLimits,
    ports::{Appended, Clock, FollowError},
};
use game_realtime_domain::{Epoch, EventId, EventType, Position};
use tokio::task::JoinSet;

use crate::{
    ConnectionBuilder, EventBuilder, Follower, Stores, WallClock, at_least,
    event_repository::{PAYLOADS, positioned, senders},
};

/// How long a follower of a silent store has to wait for a sign of life, at most.
const SILENCE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

/// Nothing has happened yet.
pub async fn the_history_of_an_empty_store_holds_nothing(stores: &Stores) {
    let history = stores.history().await;
    assert_eq!(history.events, []);
    assert!(history.floor <= history.head);
}

/// The history is what was appended, in order, between floor and head.
pub async fn the_history_holds_every_event_after_its_floor_up_to_its_head(stores: &Stores) {
    let appended = append_at_once(stores, 40).await;
    let history = stores.history().await;
    assert_eq!(ids(&history.events), in_commit_order(&appended));
    assert!(
        history
            .events
            .iter()
            .all(|event| { history.floor < event.position && event.position <= history.head })
    );
    assert!(appended.iter().all(|appended| appended.cursor.epoch == history.epoch));
}

/// Old events are remembered if they are among the last.
pub async fn the_history_holds_at_least_the_last_events(stores: &Stores) {
    let appended = append_one_by_one(stores, 20).await;
    for events in [0, 1, 7, 20, 1000] {
        let history = stores.feed.recent(at_least(Duration::ZERO, events)).await.unwrap();
        let remembered = history.events.len();
        assert!(remembered >= events.min(20), "{remembered} of {events}");
        let skipped = &appended[..20 - remembered];
        assert_eq!(ids(&history.events), in_commit_order(&appended)[20 - remembered..]);
        assert!(skipped.last().is_none_or(|last| last.cursor.position <= history.floor));
    }
}

/// Young events are remembered, however many there are.
pub async fn the_history_holds_everything_younger_than_the_window(stores: &Stores) {
    let sender = ConnectionBuilder::player("alice").build();
    let old = WallClock.now().minus(2 * HOUR);
    let mut appended = Vec::new();
    for created_at in [old, old, WallClock.now(), WallClock.now(), WallClock.now()] {
        let event = EventBuilder::from(&sender).created_at(created_at).broadcast("hi");
        appended.push(stores.append(event).await);
    }
    for (window, events, least) in [(HOUR, 0, 3), (HOUR, 4, 4), (3 * HOUR, 0, 5)] {
        let history = stores.feed.recent(at_least(window, events)).await.unwrap();
        assert!(history.events.len() >= least, "{window:?} {events}");
        let expected = in_commit_order(&appended);
        assert_eq!(ids(&history.events), expected[5 - history.events.len()..]);
    }
}

/// An empty history and its floor agree: what comes next comes after it.
pub async fn a_history_without_events_still_joins_the_feed(stores: &Stores) {
    append_one_by_one(stores, 3).await;
    let history = stores.feed.recent(at_least(Duration::ZERO, 0)).await.unwrap();
    let mut follower = Follower::open(&stores.feed, &history.epoch, history.floor).await;
    let next = append_one_by_one(stores, 1).await;
    let followed = follower.events_until(next[0].event_id).await;
    let mut expected = ids(&history.events);
    expected.push(next[0].event_id);
    assert_eq!(ids(&followed), expected);
}

/// What is committed arrives, in order, once.
pub async fn follow_delivers_events_in_commit_order(stores: &Stores) {
    let mut follower = stores.follow().await;
    let appended = append_one_by_one(stores, 30).await;
    assert_eq!(ids(&follower.events(30).await), ids_of(&appended));
}

/// Many appending at once make one order, and their answers name it.
pub async fn follow_delivers_events_of_many_tasks_once_and_in_one_order(stores: &Stores) {
    let mut follower = stores.follow().await;
    let mut other = stores.follow().await;
    let appended = append_at_once(stores, 400).await;
    let followed = follower.events(400).await;
    assert_eq!(ids(&followed), in_commit_order(&appended));
    assert_eq!(other.events(400).await, followed, "everybody sees the same order");
}

/// The way from history to feed has no hole and no repetition.
pub async fn history_and_feed_together_have_no_hole_and_no_repetition(stores: &Stores) {
    let events = Arc::clone(&stores.events);
    let appending = tokio::spawn(async move {
        let sender = ConnectionBuilder::player("alice").build();
        let mut appended = Vec::new();
        for number in 0..300 {
            let event = EventBuilder::from(&sender).broadcast(&number.to_string());
            appended.push(events.append(event).await.unwrap().event_id);
        }
        appended
    });
    let mut joined = Vec::new();
    for _ in 0..10 {
        let history = stores.history().await;
        let follower = Follower::open(&stores.feed, &history.epoch, history.head).await;
        joined.push((history, follower));
    }
    let appended = appending.await.unwrap();
    let last = *appended.last().unwrap();
    for (history, mut follower) in joined {
        let mut seen = ids(&history.events);
        if seen.last() != Some(&last) {
            seen.extend(ids(&follower.events_until(last).await));
        }
        assert_eq!(seen, appended);
    }
}

/// Every cursor that an append answered with is a place to come back to.
pub async fn following_from_any_cursor_delivers_exactly_what_came_after_it(stores: &Stores) {
    let epoch = stores.history().await.epoch;
    let mut appended = append_at_once(stores, 60).await;
    appended.sort_by_key(|appended| appended.cursor.position);
    let order = ids_of(&appended);
    for (number, from) in appended.iter().enumerate() {
        let mut follower = Follower::open(&stores.feed, &epoch, from.cursor.position).await;
        let rest = follower.events(order.len() - number - 1).await;
        assert_eq!(ids(&rest), order[number + 1..]);
    }
}

/// Every head that an update told of is a place to come back to.
pub async fn following_from_any_head_goes_on_without_hole_or_repetition(stores: &Stores) {
    let history = stores.history().await;
    let mut head = history.head;
    let mut seen = Vec::new();
    let mut appended = Vec::new();
    for round in 0..10 {
        let mut follower = Follower::open(&stores.feed, &history.epoch, head).await;
        appended.extend(ids_of(&append_one_by_one(stores, round).await));
        while seen.len() < appended.len() {
            seen.extend(ids(&follower.update().await.events));
        }
        head = follower.head();
    }
    assert_eq!(seen, appended);
}

/// The feed can be followed from the floor of a history.
pub async fn following_from_the_floor_delivers_the_history_again(stores: &Stores) {
    append_at_once(stores, 50).await;
    let history = stores.history().await;
    let mut follower = Follower::open(&stores.feed, &history.epoch, history.floor).await;
    assert_eq!(follower.events(50).await, history.events);
}

/// Feed, history and list agree with what was appended, to the byte.
pub async fn events_arrive_as_they_were_appended(stores: &Stores) {
    let mut follower = stores.follow().await;
    let mut expected = Vec::new();
    for (sender, json) in senders().iter().zip(PAYLOADS.iter().cycle()) {
        for event in [
            EventBuilder::from(sender).request("r").encoded(json),
            EventBuilder::from(sender).message("bob", "\u{0}🎲 \"quoted\" \\ </script>"),
            EventBuilder::from(sender).purchase("sword / shield", 3),
        ] {
            let appended = stores.append(event.clone()).await;
            expected.push(positioned(&event, &appended));
        }
    }
    assert_eq!(follower.events(expected.len()).await, expected);
    assert_eq!(stores.history().await.events, expected);
    for event_type in EventType::ALL {
        let listed = stores.events.list(event_type, expected.len()).await.unwrap().events;
        let mut of_type = expected.clone();
        of_type.retain(|event| event.event.payload.event_type == event_type);
        of_type.reverse();
        assert_eq!(listed, of_type);
    }
}

/// A repeat and a conflict are no events.
pub async fn only_what_was_appended_is_delivered(stores: &Stores) {
    let sender = ConnectionBuilder::player("alice").build();
    let mut follower = stores.follow().await;
    let first = stores.append(EventBuilder::from(&sender).request("r").broadcast("hi")).await;
    stores.append(EventBuilder::from(&sender).request("r").broadcast("hi")).await;
    stores
        .events
        .append(EventBuilder::from(&sender).request("r").broadcast("ho"))
        .await
        .unwrap_err();
    stores.save(&sender).await;
    stores.delete(&sender).await;
    let last = stores.append(EventBuilder::from(&sender).broadcast("last")).await;
    let followed = follower.events_until(last.event_id).await;
    assert_eq!(ids(&followed), [first.event_id, last.event_id]);
    assert_eq!(ids(&stores.history().await.events), [first.event_id, last.event_id]);
}

/// Another store's positions mean nothing here.
pub async fn following_another_epoch_is_lost(stores: &Stores) {
    append_one_by_one(stores, 3).await;
    let history = stores.history().await;
    let foreign = Epoch::parse("anotherstore").unwrap();
    for position in [Position::START, history.floor, history.head] {
        let error = match stores.feed.follow(&foreign, position).await {
            Err(error) => error,
            Ok(mut stream) => stream.next().await.expect_err("another store's feed"),
        };
        assert!(matches!(error, FollowError::Lost), "{error:?}");
    }
}

/// Silence is not a broken link: a follower hears that nothing happened.
pub async fn a_silent_store_gives_a_sign_of_life(stores: &Stores) {
    append_one_by_one(stores, 2).await;
    let mut follower = stores.follow().await;
    for _ in 0..2 {
        let update = follower.try_update(SILENCE).await.expect("a sign of life");
        assert_eq!(update.events, []);
    }
}

/// Giving up on an update loses nothing.
pub async fn dropping_next_before_it_is_ready_loses_nothing(stores: &Stores) {
    let mut follower = stores.follow().await;
    let events = Arc::clone(&stores.events);
    let appending = tokio::spawn(async move {
        let sender = ConnectionBuilder::player("alice").build();
        let mut appended = Vec::new();
        for number in 0..200 {
            let event = EventBuilder::from(&sender).broadcast(&number.to_string());
            appended.push(events.append(event).await.unwrap().event_id);
        }
        appended
    });
    let mut seen = Vec::new();
    for attempt in 0_u64.. {
        // From not waiting at all to waiting a little, so that it is dropped everywhere.
        let patience = Duration::from_micros(attempt % 50 * 40);
        if let Some(update) = follower.try_update(patience).await {
            seen.extend(ids(&update.events));
        }
        if seen.len() == 200 {
            break;
        }
    }
    assert_eq!(seen, appending.await.unwrap());
}

/// However much is asked for, the history takes no more memory than its bytes, and holds the newest.
pub async fn the_history_never_takes_more_than_its_bytes(stores: &Stores) {
    let sender = ConnectionBuilder::player("alice").build();
    let mut appended = Vec::new();
    for number in 0..40 {
        let text = "x".repeat(number % 5 * 200);
        appended.push(stores.append(EventBuilder::from(&sender).broadcast(&text)).await);
    }
    let all = stores.history().await.events;
    let cost: usize = all.iter().map(Timeline::cost_of).sum();
    for bytes in [0, 1, cost / 3, cost - 1, cost] {
        let limits = TimelineLimits { age: HOUR, events: 1000, bytes };
        let history = stores.feed.recent(limits).await.unwrap();
        let held: usize = history.events.iter().map(Timeline::cost_of).sum();
        assert!(held <= bytes, "{held} of {bytes}");
        let left_out = all.len() - history.events.len();
        assert_eq!(history.events, all[left_out..], "the newest ones");
        if let Some(newest) = left_out.checked_sub(1) {
            let next = Timeline::cost_of(&all[newest]);
            assert!(held + next > bytes, "{newest} fits into {bytes}");
            assert!(history.floor >= all[newest].position);
        }
        assert!(history.head >= appended[39].cursor.position, "the head is the head");
    }
}

/// Where everything is still stored, every position since the first event is one to return to, also
/// one from before a quiet time that is longer than the window.
pub async fn the_floor_is_the_newest_event_that_is_not_in_the_history(stores: &Stores) {
    let empty = stores.history().await;
    let sender = ConnectionBuilder::player("alice").build();
    let old = WallClock.now().minus(2 * HOUR);
    let mut appended = Vec::new();
    for created_at in [old, old, WallClock.now(), WallClock.now()] {
        let event = EventBuilder::from(&sender).created_at(created_at).broadcast("hi");
        appended.push(stores.append(event).await);
    }
    let history = stores.feed.recent(at_least(HOUR, 0)).await.unwrap();
    let left_out = appended.len() - history.events.len();
    let newest_left_out = left_out.checked_sub(1).map(|place| appended[place].cursor.position);
    assert!(history.floor <= newest_left_out.unwrap_or(empty.head), "{}", history.floor);
    let everything = stores.history().await;
    assert_eq!(everything.events.len(), 4);
    assert!(everything.floor <= empty.head, "{} is no gap", empty.head);
}

/// No cursor that was answered is after the end of the log.
pub async fn the_end_is_at_or_after_every_answered_cursor(stores: &Stores) {
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let (events, feed) = (Arc::clone(&stores.events), Arc::clone(&stores.feed));
        tasks.spawn(async move {
            let sender = ConnectionBuilder::player(&format!("player-{task}")).build();
            for _ in 0..20 {
                let appended = events.append(EventBuilder::from(&sender).broadcast("hi")).await;
                let cursor = appended.unwrap().cursor;
                let end = feed.end().await.unwrap();
                assert_eq!(end.epoch, cursor.epoch);
                assert!(end.position >= cursor.position, "{end} is after {cursor}");
            }
        });
    }
    tasks.join_all().await;
}

/// The end is a position of this log: following from there brings what comes next, and nothing else.
pub async fn following_from_the_end_delivers_what_comes_next(stores: &Stores) {
    append_one_by_one(stores, 5).await;
    let end = stores.feed.end().await.unwrap();
    assert_eq!(stores.feed.end().await.unwrap().epoch, end.epoch);
    let mut follower = Follower::open(&stores.feed, &end.epoch, end.position).await;
    let next = append_one_by_one(stores, 3).await;
    assert_eq!(ids(&follower.events(3).await), ids_of(&next));
}

/// An empty log ends where it begins.
pub async fn the_end_of_an_empty_log_is_not_after_its_first_event(stores: &Stores) {
    let end = stores.feed.end().await.unwrap();
    let first = append_one_by_one(stores, 1).await;
    assert!(end.position < first[0].cursor.position);
}

/// Appends from 8 tasks, at once; answers in no order.
async fn append_at_once(stores: &Stores, count: usize) -> Vec<Appended> {
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let events = Arc::clone(&stores.events);
        tasks.spawn(async move {
            let sender = ConnectionBuilder::player("alice").build();
            let mut appended = Vec::new();
            for number in (0..count).filter(|number| number % 8 == task) {
                let event = EventBuilder::from(&sender);
                let event = match number % 3 {
                    0 => event.broadcast("hi"),
                    1 => event.message("bob", "hi"),
                    _ => event.purchase("sword", 1),
                };
                appended.push(events.append(event).await.unwrap());
            }
            appended
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

async fn append_one_by_one(stores: &Stores, count: usize) -> Vec<Appended> {
    let sender = ConnectionBuilder::player("alice").build();
    let mut appended = Vec::new();
    for number in 0..count {
        let event = EventBuilder::from(&sender).broadcast(&number.to_string());
        appended.push(stores.append(event).await);
    }
    appended
}

fn ids(events: &[PositionedEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.event.id).collect()
}

fn ids_of(appended: &[Appended]) -> Vec<EventId> {
    appended.iter().map(|appended| appended.event_id).collect()
}

fn in_commit_order(appended: &[Appended]) -> Vec<EventId> {
    let mut appended = appended.to_vec();
    appended.sort_by_key(|appended| appended.cursor.position);
    ids_of(&appended)
}

/// Stamps this suite: see [`contract!`](crate::contract).
#[macro_export]
macro_rules! event_feed_contract {
    ($stores:expr) => {
        $crate::stamp! { $stores, event_feed:
            the_history_of_an_empty_store_holds_nothing,
            the_history_holds_every_event_after_its_floor_up_to_its_head,
            the_history_holds_at_least_the_last_events,
            the_history_holds_everything_younger_than_the_window,
            the_history_never_takes_more_than_its_bytes,
            the_floor_is_the_newest_event_that_is_not_in_the_history,
            the_end_is_at_or_after_every_answered_cursor,
            following_from_the_end_delivers_what_comes_next,
            the_end_of_an_empty_log_is_not_after_its_first_event,
            a_history_without_events_still_joins_the_feed,
            follow_delivers_events_in_commit_order,
            follow_delivers_events_of_many_tasks_once_and_in_one_order,
            history_and_feed_together_have_no_hole_and_no_repetition,
            following_from_any_cursor_delivers_exactly_what_came_after_it,
            following_from_any_head_goes_on_without_hole_or_repetition,
            following_from_the_floor_delivers_the_history_again,
            events_arrive_as_they_were_appended,
            only_what_was_appended_is_delivered,
            following_another_epoch_is_lost,
            a_silent_store_gives_a_sign_of_life,
            dropping_next_before_it_is_ready_loses_nothing,
        }
    };
}
