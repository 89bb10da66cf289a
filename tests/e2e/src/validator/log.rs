//! What the validator looks at: connections, what they received, what they were acknowledged.

use std::fmt;

use serde_json::{Map, Value};

use crate::{Client, Namespace, Received, event, shape};

/// A cursor, taken apart. Clients must not do this; a validator has to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Which history.
    pub epoch: String,
    /// Which place in it: revision and index.
    pub position: (u64, u32),
}

impl Cursor {
    /// Takes `<epoch>:<revision>.<index>` apart.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, position) = text.rsplit_once(':')?;
        let (revision, index) = position.split_once('.')?;
        let position = (revision.parse().ok()?, index.parse().ok()?);
        (!epoch.is_empty()).then(|| Self { epoch: epoch.to_owned(), position })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}.{}", self.epoch, self.position.0, self.position.1)
    }
}

/// Who sent an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The player; `None` for a guest.
    pub user_id: Option<String>,
    /// The connection.
    pub connection_id: String,
}

impl Sender {
    /// The sender that a client is.
    #[must_use]
    pub fn of(client: &Client) -> Self {
        Self::parse(client.ready()).expect("ready has a connection id")
    }

    fn parse(value: &Value) -> Option<Self> {
        Some(Self {
            user_id: value.get("user_id").and_then(Value::as_str).map(str::to_owned),
            connection_id: value.get("connection_id")?.as_str()?.to_owned(),
        })
    }
}

/// One event as one connection got it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// Its place in the one order.
    pub cursor: Cursor,
    /// Its type.
    pub event_type: String,
    /// When it was made.
    pub created_at: String,
    /// Who sent it.
    pub sender: Sender,
    /// The payload's own fields.
    pub payload: Map<String, Value>,
}

impl Delivery {
    /// Reads a domain event.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(received: &Received) -> Result<Self, String> {
        let malformed = || format!("malformed {}: {:?}", received.name, received.args);
        let [Value::Object(payload)] = received.args.as_slice() else { return Err(malformed()) };
        let mut payload = payload.clone();
        let mut text = |key| match payload.remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (id, cursor, created_at) = (text("id"), text("cursor"), text("created_at"));
        let sender = payload.remove("sender").as_ref().and_then(Sender::parse);
        let cursor = cursor.as_deref().and_then(Cursor::parse);
        let (Some(id), Some(cursor), Some(created_at), Some(sender)) =
            (id, cursor, created_at, sender)
        else {
            return Err(malformed());
        };
        let event_type = received.name.clone();
        Ok(Self { id, cursor, event_type, created_at, sender, payload })
    }
}

/// One acknowledgement: the event as its sender knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Acked {
    /// The event.
    pub event: Delivery,
    /// Whether it was a repeat.
    pub duplicate: bool,
}

impl Acked {
    /// Reads the acknowledgement that `sender` got for `sent`; `None` if it is not `ok`.
    ///
    /// # Panics
    /// When it is `ok` and malformed.
    #[must_use]
    pub fn parse(sender: &Client, sent: &Value, ack: &Value) -> Option<Self> {
        if shape::text(ack, "status") != "ok" {
            return None;
        }
        let committed = shape::field(ack, "event");
        let text = |key| shape::text(committed, key).to_owned();
        let mut payload = sent.as_object().cloned().expect("what was sent is an object");
        payload.remove("request_id");
        let event = Delivery {
            id: text("id"),
            cursor: Cursor::parse(&text("cursor")).expect("a cursor"),
            event_type: text("type"),
            created_at: text("created_at"),
            sender: Sender::of(sender),
            payload,
        };
        let duplicate = shape::field(ack, "duplicate") == &Value::Bool(true);
        Some(Self { event, duplicate })
    }
}

/// What one connection received, from one `ready` on.
#[derive(Debug, Clone)]
pub struct ConnectionLog {
    /// How reports call it.
    pub name: String,
    /// Which of the clients it was a connection of; one may have had several, in order.
    pub client: String,
    /// The game namespace.
    pub namespace: Namespace,
    /// The player; `None` for a guest.
    pub user_id: Option<String>,
    /// The connection.
    pub connection_id: String,
    /// `ready.recovery.status`.
    pub recovery: String,
    /// `ready.cursor`: everything after it is owed.
    pub joined: Cursor,
    /// Whether it was still connected, and had got all it was to get, when the log was taken.
    pub stayed: bool,
    /// The domain events, in order of arrival.
    pub deliveries: Vec<Delivery>,
    /// What arrived and should not have been like that.
    pub malformed: Vec<String>,
}

impl ConnectionLog {
    /// The logs of all connections that a client has had, in order.
    ///
    /// # Panics
    /// When a `ready` is malformed or comes late.
    #[must_use]
    pub fn of(client: &Client, stayed: bool) -> Vec<Self> {
        let mut logs: Vec<Self> = Vec::new();
        for received in client.events() {
            if received.name == event::READY {
                if let Some(last) = logs.last_mut() {
                    last.stayed = false;
                }
                let name = format!("{}#{}", client.name(), logs.len() + 1);
                logs.push(Self::begin(client, name, received.payload(), stayed));
                continue;
            }
            let log = logs.last_mut();
            let log = log.unwrap_or_else(|| panic!("{received:?} came before ready"));
            match Delivery::parse(&received) {
                Ok(delivery) => log.deliveries.push(delivery),
                Err(fault) => log.malformed.push(fault),
            }
        }
        logs
    }

    /// The last cursor that the client saw on this connection: what it comes back with.
    #[must_use]
    pub fn left(&self) -> &Cursor {
        self.deliveries.last().map_or(&self.joined, |delivery| &delivery.cursor)
    }

    fn begin(client: &Client, name: String, ready: &Value, stayed: bool) -> Self {
        let Sender { user_id, connection_id } =
            Sender::parse(ready).expect("ready has a connection id");
        Self {
            name,
            client: client.name().to_owned(),
            namespace: client.namespace(),
            user_id,
            connection_id,
            recovery: shape::text(shape::field(ready, "recovery"), "status").to_owned(),
            joined: Cursor::parse(shape::text(ready, "cursor")).expect("ready has a cursor"),
            stayed,
            deliveries: Vec::new(),
            malformed: Vec::new(),
        }
    }
}
