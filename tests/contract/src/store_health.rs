//! The promises of [`StoreHealth`](game_realtime_application::ports::StoreHealth) that hold for a
//! healthy store. How a store fails is its own: each implementation tests that by itself.

use crate::{ConnectionBuilder, EventBuilder, Stores};

/// A store that answers says so.
pub async fn a_store_that_answers_is_healthy(stores: &Stores) {
    stores.health.check().await.expect("healthy");
}

/// Work does not make it unhealthy.
pub async fn a_store_stays_healthy_while_it_works(stores: &Stores) {
    let sender = ConnectionBuilder::player("alice").build();
    stores.save(&sender).await;
    for number in 0..20 {
        stores.append(EventBuilder::from(&sender).broadcast(&number.to_string())).await;
        stores.health.check().await.expect("healthy");
    }
    stores.delete(&sender).await;
    stores.health.check().await.expect("healthy");
}

/// Stamps this suite: see [`contract!`](crate::contract).
#[macro_export]
macro_rules! store_health_contract {
    ($stores:expr) => {
        $crate::stamp! { $stores, store_health:
            a_store_that_answers_is_healthy,
            a_store_stays_healthy_while_it_works,
        }
    };
}
