//! The promises of [`EventRepository`] about who is connected at the commit.
//!
//! [`EventRepository`]: game_realtime_application::ports::EventRepository

use game_realtime_application::ports::Appended;
use game_realtime_domain::Connection;

use crate::{
    ConnectionBuilder, EventBuilder, Stores, connection_repository::confusable_user_ids,
    event_repository::alice, user_id,
};

/// Presence is counted when it is asked for.
pub async fn presence_is_the_number_of_connections_at_the_commit(stores: &Stores) {
    let sender = alice();
    assert_eq!(presence(stores, &sender, "bob").await, Some(0));
    let saved: Vec<_> = (0..3).map(|_| ConnectionBuilder::player("bob").build()).collect();
    for (number, connection) in (1..).zip(&saved) {
        stores.save(connection).await;
        assert_eq!(presence(stores, &sender, "bob").await, Some(number));
    }
    stores.save(&ConnectionBuilder::guest().build()).await;
    stores.save(&sender).await;
    assert_eq!(presence(stores, &sender, "bob").await, Some(3));
    for (number, connection) in saved.iter().enumerate() {
        stores.delete(connection).await;
        assert_eq!(presence(stores, &sender, "bob").await, Some(2 - number as u64));
    }
}

/// A repeat learns of presence too: of the present one.
pub async fn a_duplicate_counts_the_connections_of_now(stores: &Stores) {
    let sender = alice();
    let message = || EventBuilder::from(&sender).request("r").message("bob", "hi");
    let first = stores.append(message()).await;
    assert_eq!(first.recipient_connections, Some(0));
    stores.save(&ConnectionBuilder::player("bob").build()).await;
    let again = stores.append(message()).await;
    assert_eq!(again, Appended { duplicate: true, recipient_connections: Some(1), ..first });
}

/// One player's presence is not that of another with a similar id.
pub async fn presence_counts_exactly_one_user(stores: &Stores) {
    let sender = alice();
    for id in confusable_user_ids() {
        stores.save(&ConnectionBuilder::player(&id).build()).await;
    }
    for id in confusable_user_ids() {
        assert_eq!(presence(stores, &sender, &id).await, Some(1), "{id:?}");
    }
}

/// Nobody asked, nobody is told.
pub async fn without_presence_of_nothing_is_counted(stores: &Stores) {
    let sender = alice();
    stores.save(&sender).await;
    let appended = stores.append(EventBuilder::from(&sender).purchase("sword", 1)).await;
    assert_eq!(appended.recipient_connections, None);
}

async fn presence(stores: &Stores, sender: &Connection, target: &str) -> Option<u64> {
    let event = EventBuilder::from(sender).message(target, "hi");
    assert_eq!(event.presence_of, Some(user_id(target)));
    stores.append(event).await.recipient_connections
}

/// Stamps this suite: see [`contract!`](crate::contract).
#[macro_export]
macro_rules! presence_contract {
    ($stores:expr) => {
        $crate::stamp! { $stores, presence:
            presence_is_the_number_of_connections_at_the_commit,
            a_duplicate_counts_the_connections_of_now,
            presence_counts_exactly_one_user,
            without_presence_of_nothing_is_counted,
        }
    };
}
