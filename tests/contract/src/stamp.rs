//! Turns the functions of the suites into tests of one implementation.

use std::time::Duration;

/// How long one test may take, whatever the store.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Runs one test, but not for ever.
///
/// # Panics
/// When it takes too long.
pub async fn within_time_limit(name: &str, test: impl Future<Output = ()>) {
    assert!(
        tokio::time::timeout(TIME_LIMIT, test).await.is_ok(),
        "{name} has not ended after {TIME_LIMIT:?}"
    );
}

/// Stamps all suites for one implementation. Takes an expression that yields the [`Stores`] of a
/// fresh store, evaluated in an async function, once per test.
///
/// [`Stores`]: crate::Stores
#[macro_export]
macro_rules! contract {
    ($stores:expr) => {
        mod event_repository {
            use super::*;
            $crate::event_repository_contract!($stores);
        }
        mod idempotency {
            use super::*;
            $crate::idempotency_contract!($stores);
        }
        mod presence {
            use super::*;
            $crate::presence_contract!($stores);
        }
        mod event_feed {
            use super::*;
            $crate::event_feed_contract!($stores);
        }
        mod connection_repository {
            use super::*;
            $crate::connection_repository_contract!($stores);
        }
        mod kick_orders {
            use super::*;
            $crate::kick_orders_contract!($stores);
        }
        mod store_health {
            use super::*;
            $crate::store_health_contract!($stores);
        }
        mod random_operations {
            use super::*;
            $crate::random_operations_contract!($stores);
        }
    };
}

/// Stamps functions of one suite.
#[doc(hidden)]
#[macro_export]
macro_rules! stamp {
    ($stores:expr, $suite:ident: $($name:ident),+ $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let stores: $crate::Stores = $stores;
            $crate::within_time_limit(stringify!($name), $crate::$suite::$name(&stores)).await;
        }
    )+ };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_function_of_a_suite_is_stamped() {
        for suite in [
            include_str!("connection_repository.rs"),
            include_str!("event_feed.rs"),
            include_str!("event_repository.rs"),
            include_str!("idempotency.rs"),
            include_str!("kick_orders.rs"),
            include_str!("presence.rs"),
            include_str!("random_operations.rs"),
            include_str!("store_health.rs"),
        ] {
            let (functions, stamped) = suite.split_once("macro_rules!").unwrap();
            let names: Vec<&str> = functions
                .split("pub async fn ")
                .skip(1)
                .map(|function| function.split_once('(').unwrap().0)
                .collect();
            assert!(!names.is_empty());
            for name in names {
                let listed = stamped
                    .split(|character: char| !(character.is_alphanumeric() || character == '_'))
                    .any(|word| word == name);
                assert!(listed, "{name} is in its macro");
            }
        }
    }
}
