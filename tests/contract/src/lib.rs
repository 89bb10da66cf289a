//! What every implementation of a store's ports must do, written once.
//!
//! One function per promise of [`EventRepository`], [`EventFeed`], [`ConnectionRepository`],
//! [`KickOrders`] and [`StoreHealth`], named after it; [`contract!`] stamps them all as tests of one implementation.
//! The functions rely on the documentation of the ports alone: positions are opaque and grow,
//! events that were committed together may share a revision, a head need not be an event's
//! position.
//!
//! # How to stamp
//!
//! The implementing crate needs this crate and `tokio` (feature `macros`) to be in reach of its
//! tests. In its `tests/contract.rs`:
//!
//! ```ignore
//! use game_realtime_contract::{Stores, WallClock};
//!
//! async fn stores() -> Stores {
//!     let store = MyStore::open(/* fresh and empty */, Arc::new(WallClock)).await.unwrap();
//!     Stores {
//!         events: Arc::new(MyEventRepository::of(&store)),
//!         feed: Arc::new(MyEventFeed::of(&store)),
//!         connections: Arc::new(MyConnectionRepository::of(&store)),
//!         health: Arc::new(MyStoreHealth::of(&store)),
//!         kicks: Arc::new(MyKickOrders::of(&store)),
//!         guard: Box::new(store), // dropped last
//!     }
//! }
//!
//! game_realtime_contract::contract!(stores().await);
//! ```
//!
//! The expression is evaluated in an async function, once per test. What it yields MUST be a store
//! that nobody else uses and that holds nothing, MUST take the time from a clock that agrees with
//! [`WallClock`], and MUST keep events and receipts for at least three hours. Wrap the invocation
//! in a module to stamp two implementations in one file. To stamp one suite alone, use its own macro:
//! [`event_repository_contract!`], [`idempotency_contract!`], [`presence_contract!`],
//! [`event_feed_contract!`], [`connection_repository_contract!`], [`kick_orders_contract!`],
//! [`store_health_contract!`], [`random_operations_contract!`].
//!
//! # What is easy to get wrong
//!
//! *An append that is polled first is committed first*, whatever is polled afterwards:
//!
//! - tokio's cooperative budget makes the 129th `send` within one poll of a task return without
//!   having queued anything (`tokio::task::unconstrained` lifts it);
//! - a `send` that waits for room in a full channel gets its place when it is polled again, not
//!   in the order in which room was given (`try_send` into a queue that is large enough, and
//!   *unavailable* beyond that, keeps the order).
//!
//! # How to add a promise
//!
//! Write it into the port's documentation as a MUST, add a function to the suite's module and its
//! name to the macro at the end of that module; a test notices when the second step is forgotten.
//!
//! [`EventRepository`]: game_realtime_application::ports::EventRepository
//! [`EventFeed`]: game_realtime_application::ports::EventFeed
//! [`ConnectionRepository`]: game_realtime_application::ports::ConnectionRepository
//! [`KickOrders`]: game_realtime_application::ports::KickOrders
//! [`StoreHealth`]: game_realtime_application::ports::StoreHealth
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "this crate is tests: what it does not expect is a failure"
)]

pub mod connection_repository;
pub mod event_feed;
pub mod event_repository;
pub mod idempotency;
pub mod kick_orders;
pub mod presence;
pub mod random_operations;
pub mod store_health;

mod clocks;
mod connection_builder;
mod event_builder;
mod follower;
mod ids;
mod stamp;
mod stores;

pub use clocks::{ManualClock, WallClock};
pub use connection_builder::ConnectionBuilder;
pub use event_builder::{EventBuilder, request_id, user_id};
pub use follower::{EVERYTHING, Follower, at_least};
pub use ids::unique_id;
pub use stamp::within_time_limit;
pub use stores::{Stores, keeping};
