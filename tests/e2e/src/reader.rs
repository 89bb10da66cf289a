//! Everything that happened, as clients who come back from the very beginning are told by a node
//! that has just started: a read of the store by the public contract alone.

use std::collections::BTreeMap;

use crate::{
    ConnectOptions, Driver, mint, shape,
    validator::{Cursor, Delivery},
};

/// What these users, and guests, have missed since `beginning`, in commit order. What a guest sent
/// to somebody else than these users is not among it.
///
/// # Panics
/// When somebody is refused, does not recover, or does not get all that was announced.
pub async fn read_all(
    driver: &Driver,
    url: &str,
    users: &[String],
    beginning: &str,
) -> Vec<Delivery> {
    let mut all: BTreeMap<(u64, u32), Delivery> = BTreeMap::new();
    let guest = ConnectOptions::guest(url);
    let players = users.iter().map(|user| ConnectOptions::player(url, &mint(user)));
    for options in players.chain([guest]) {
        let options = options.over(&["websocket"]).from_cursor(beginning);
        let client = driver.connect(&options).await.expect("a reader is welcome");
        let recovery = shape::field(client.ready(), "recovery");
        assert_eq!(shape::text(recovery, "status"), "recovered", "{beginning}: {recovery}");
        let replayed = shape::field(recovery, "replayed").as_u64().expect("a count");
        let replayed = usize::try_from(replayed).expect("it fits");
        let received = client.await_domain_events(replayed).await;
        for delivery in &received {
            let delivery = Delivery::parse(delivery).expect("a domain event");
            all.entry(delivery.cursor.position).or_insert(delivery);
        }
        client.disconnect().await;
    }
    all.into_values().collect()
}

/// The earlier of two cursors of one history.
#[must_use]
pub(crate) fn earlier<'a>(one: &'a str, other: &'a str) -> &'a str {
    let position = |text| Cursor::parse(text).map(|cursor| cursor.position);
    if position(one) <= position(other) { one } else { other }
}
