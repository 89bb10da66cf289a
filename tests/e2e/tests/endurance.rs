//! The log is written several times over within a small budget, and a node is killed and started again
//! meanwhile: nothing is lost, no event is refused, the store stays small. `just endure` is the long form.

use std::time::Duration;

use game_realtime_e2e::endure::{EndureStore, Plan, endure};

const DURATION: Duration = Duration::from_secs(75);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_budget_is_enough_for_any_number_of_events_on_etcd() {
    assert_endures(Plan::short(EndureStore::Etcd, DURATION, "8MiB")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_budget_is_enough_for_any_number_of_events_in_a_file() {
    assert_endures(Plan::short(EndureStore::Embedded, DURATION, "8MiB")).await;
}

async fn assert_endures(plan: Plan) {
    let outcome = endure(plan, |progress| eprintln!("{progress}")).await;
    eprintln!("{outcome}");
    assert!(outcome.is_clean(), "{}", outcome.verdict());
}
