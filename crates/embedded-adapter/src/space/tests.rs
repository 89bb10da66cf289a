//! The account of space, compared with the pages that redb has allocated.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use game_realtime_application::{panics::Watchdog, ports::EventRepository};
use game_realtime_contract::{ConnectionBuilder, EventBuilder, WallClock, keeping, unique_id};
use game_realtime_domain::Epoch;

use super::*;
use crate::{EmbeddedStore, database::Database, file, writer::Keeping};

const DAY: Duration = Duration::from_secs(24 * 3600);
const BUDGET: u64 = 16 * 1024 * 1024;

/// Writes broadcasts with these texts, and returns what the account says and what redb says.
async fn weigh(rounds: &[(usize, usize, bool)]) -> (u64, u64) {
    let epoch = Epoch::parse("epoch").unwrap();
    let (database, length) = file::in_memory(&epoch).unwrap();
    let database = Arc::new(Database::new(database, None, length));
    let state = database.state().unwrap();
    let keeping = Keeping { retention: keeping(DAY, 0, DAY), space_budget: BUDGET };
    let limit = Duration::from_secs(30);
    let (shared, clock) = (Arc::clone(&database), Arc::new(WallClock));
    let store =
        EmbeddedStore::start(shared, state, limit, keeping, clock, &Watchdog::new()).unwrap();
    let (events, sender) = (store.event_repository(), ConnectionBuilder::player("alice").build());
    for &(count, text, with_request) in rounds {
        let text = "x".repeat(text);
        stream::iter(0..count)
            .map(|_| {
                let mut event = EventBuilder::from(&sender);
                if with_request {
                    event = event.request(&unique_id().to_string());
                }
                events.append(event.broadcast(&text))
            })
            .buffer_unordered(700)
            .for_each(|appended| async move { drop(appended.unwrap()) })
            .await;
    }
    let pages = database.begin_write().unwrap().stats().unwrap().allocated_pages();
    let account = database.state().unwrap().ledger.space.total();
    (account, pages * PAGE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_agrees_with_the_pages_in_use() {
    for rounds in [
        &[(4000, 80, false)][..],
        &[(4000, 80, true)],
        // Several times what there is space for.
        &[(20_000, 80, true)],
        &[(20_000, 80, false)],
        &[(3000, 1500, true)],
        &[(2000, 3000, false)],
        &[(300, 30_000, true)],
        &[(200, 60_000, false), (10_000, 10, true)],
    ] {
        let (account, pages) = weigh(rounds).await;
        // The rest are redb's own tables, at most those of one transaction.
        let ratio = account * 100 / pages;
        eprintln!("{rounds:?}: {account} of {pages}: {ratio} %");
        assert!((90..=125).contains(&ratio), "{rounds:?}: {account} of {pages}");
    }
}
