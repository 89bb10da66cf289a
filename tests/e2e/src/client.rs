//! One connected client: what it can do and what it has seen.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{Namespace, PATIENCE, driver::Shared, event};

/// An event as the client got it.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Value>,
}

impl Received {
    /// Its one argument.
    #[must_use]
    pub fn payload(&self) -> &Value {
        match self.args.as_slice() {
            [payload] => payload,
            _ => panic!("{} came with {} arguments", self.name, self.args.len()),
        }
    }
}

/// Something that happened to the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// `connect`, `disconnect`, `connect_error`, `upgrade`, `reconnect_attempt`, `reconnect`.
    pub name: String,
    /// What the library gave as reason.
    pub reason: Option<String>,
}

/// What a client sees, in order.
#[derive(Debug, Clone)]
pub(crate) enum Observation {
    Event(Received),
    Lifecycle(Lifecycle),
}

impl Observation {
    /// A line of the driver's that is not a reply, and whose it is.
    pub(crate) fn parse(line: &Value) -> Option<(String, Self)> {
        let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
        if let Some(event) = line.get("event") {
            let received = Received {
                name: text(event, "name")?,
                args: event.get("args")?.as_array()?.clone(),
            };
            return Some((text(event, "client")?, Self::Event(received)));
        }
        let lifecycle = Lifecycle { name: text(line, "lifecycle")?, reason: text(line, "reason") };
        Some((text(line, "client")?, Self::Lifecycle(lifecycle)))
    }
}

/// A client that is connected, or was.
pub struct Client {
    driver: Arc<Shared>,
    name: String,
    ready: Value,
    namespace: Namespace,
}

impl Client {
    pub(crate) fn new(
        driver: Arc<Shared>,
        name: String,
        ready: Value,
        namespace: Namespace,
    ) -> Self {
        Self { driver, name, ready, namespace }
    }

    /// Its name in the driver.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The game namespace it is in.
    #[must_use]
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// The payload of its first `core.game.connection.ready`.
    #[must_use]
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// A text field of `ready`, e.g. `connection_id` or `cursor`.
    #[must_use]
    pub fn ready_text(&self, field: &str) -> &str {
        let text = self.ready.get(field).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("ready has no text {field}: {}", self.ready))
    }

    /// Sends an event with one payload and returns the one argument of its acknowledgement.
    pub async fn emit(&self, event: &str, payload: Value) -> Value {
        let mut answers = self
            .try_emit(event, vec![payload])
            .await
            .unwrap_or_else(|error| panic!("{event} of {}: {error}", self.name));
        assert_eq!(answers.len(), 1, "one answer to {event}, got {answers:?}");
        answers.pop().expect("there is one")
    }

    /// Sends an event with any arguments and returns those of its acknowledgement.
    ///
    /// # Errors
    /// `timeout` when none came in time.
    pub async fn try_emit(&self, event: &str, args: Vec<Value>) -> Result<Vec<Value>, String> {
        let reply = self
            .call(json!({
                "op": "emit", "event": event, "args": args, "ack": true,
                "timeoutMs": PATIENCE.as_millis(),
            }))
            .await?;
        let ack = reply.get("ack").and_then(Value::as_array);
        Ok(ack.expect("the driver replies with the acknowledgement").clone())
    }

    /// Sends an event with one payload and waits for the one argument of its acknowledgement.
    ///
    /// # Errors
    /// `timeout` when no acknowledgement came in time.
    pub async fn emit_within(
        &self,
        event: &str,
        payload: Value,
        patience: Duration,
    ) -> Result<Value, String> {
        let command = json!({
            "op": "emit", "event": event, "args": [payload], "ack": true,
            "timeoutMs": patience.as_millis(),
        });
        let reply = self.call(command).await?;
        let answers = reply.get("ack").and_then(Value::as_array).cloned().unwrap_or_default();
        let [answer] = answers.as_slice() else { panic!("one answer to {event}: {answers:?}") };
        Ok(answer.clone())
    }

    /// Sends an event with any arguments without asking for an acknowledgement.
    pub async fn emit_silently(&self, event: &str, args: Vec<Value>) {
        let command = json!({"op": "emit", "event": event, "args": args, "ack": false});
        self.call(command).await.expect("the client exists");
    }

    /// Says goodbye.
    pub async fn disconnect(&self) {
        self.call(json!({"op": "disconnect"})).await.expect("the client exists");
    }

    /// Cuts the connection without a goodbye.
    pub async fn close_transport(&self) {
        self.call(json!({"op": "close_transport"})).await.expect("the client is connected");
    }

    /// As [`close_transport`](Self::close_transport), unless it is cut off anyway.
    pub async fn cut_if_connected(&self) {
        self.call(json!({"op": "close_transport"})).await.ok();
    }

    /// Waits until the transport is WebSocket.
    pub async fn wait_upgrade(&self) {
        let command = json!({"op": "wait_upgrade", "timeoutMs": PATIENCE.as_millis()});
        self.call(command).await.expect("the transport is upgraded");
    }

    /// The name of its transport.
    pub async fn transport(&self) -> String {
        let state = self.call(json!({"op": "state"})).await.expect("the client exists");
        state.get("transport").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// All events it has got so far, `ready` included.
    #[must_use]
    pub fn events(&self) -> Vec<Received> {
        events(&self.driver.observations_of(&self.name)).cloned().collect()
    }

    /// Whether it has got such an event. Looks at the newest first.
    #[must_use]
    pub fn saw(&self, what: impl Fn(&Received) -> bool) -> bool {
        self.driver.look_at(&self.name, |seen| newest_first(seen).any(what))
    }

    /// How many events of a name it has got.
    #[must_use]
    pub fn count_events(&self, name: &str) -> usize {
        let is_it = |received: &&Received| received.name == name;
        self.driver.look_at(&self.name, |seen| newest_first(seen).filter(is_it).count())
    }

    /// The payload of its last `core.game.connection.ready`.
    #[must_use]
    pub fn last_ready(&self) -> Value {
        self.driver.look_at(&self.name, |seen| {
            let ready = newest_first(seen).find(|received| received.name == event::READY);
            ready.map_or_else(|| self.ready.clone(), |received| received.payload().clone())
        })
    }

    /// How often something has happened to the connection.
    #[must_use]
    pub fn count_lifecycle(&self, name: &str) -> usize {
        let is_it = |observation: &&Observation| match observation {
            Observation::Lifecycle(lifecycle) => lifecycle.name == name,
            Observation::Event(_) => false,
        };
        self.driver.look_at(&self.name, |seen| seen.iter().filter(is_it).count())
    }

    /// Waits for an event.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn await_event(&self, what: impl Fn(&Received) -> bool) -> Received {
        let found = self
            .driver
            .await_observation(&self.name, |seen| events(seen).find(|event| what(event)).cloned())
            .await;
        found.unwrap_or_else(|| panic!("{} waits in vain, it got {:?}", self.name, self.events()))
    }

    /// Waits until it has got `count` events of a name, and returns all of them.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn await_events(&self, name: &str, count: usize) -> Vec<Received> {
        let of_name = |seen: &[Observation]| {
            let found: Vec<_> = events(seen).filter(|event| event.name == name).cloned().collect();
            (found.len() >= count).then_some(found)
        };
        let found = self.driver.await_observation(&self.name, of_name).await;
        found.unwrap_or_else(|| {
            panic!("{} waits for {count} {name}, it got {:?}", self.name, self.events())
        })
    }

    /// Waits until it has got so many events besides `ready`, and returns all of them.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn await_domain_events(&self, count: usize) -> Vec<Received> {
        let domain = |seen: &[Observation]| {
            let found = || events(seen).filter(|received| received.name != event::READY);
            (found().count() >= count).then(|| found().cloned().collect())
        };
        let found: Option<Vec<_>> = self.driver.await_observation(&self.name, domain).await;
        found.unwrap_or_else(|| panic!("{} waits in vain for {count} events", self.name))
    }

    /// Waits for something to happen to the connection.
    ///
    /// # Panics
    /// When it does not happen.
    pub async fn await_lifecycle(&self, name: &str) -> Lifecycle {
        let find = |seen: &[Observation]| {
            seen.iter().find_map(|observation| match observation {
                Observation::Lifecycle(lifecycle) if lifecycle.name == name => {
                    Some(lifecycle.clone())
                }
                Observation::Lifecycle(_) | Observation::Event(_) => None,
            })
        };
        let found = self.driver.await_observation(&self.name, find).await;
        found.unwrap_or_else(|| panic!("{} waits in vain for {name}", self.name))
    }

    async fn call(&self, mut command: Value) -> Result<Value, String> {
        if let Some(fields) = command.as_object_mut() {
            fields.insert("client".to_owned(), json!(self.name));
        }
        self.driver.call(command).await
    }
}

fn events(seen: &[Observation]) -> impl Iterator<Item = &Received> {
    seen.iter().filter_map(|observation| match observation {
        Observation::Event(received) => Some(received),
        Observation::Lifecycle(_) => None,
    })
}

fn newest_first(seen: &[Observation]) -> impl Iterator<Item = &Received> {
    seen.iter().rev().filter_map(|observation| match observation {
        Observation::Event(received) => Some(received),
        Observation::Lifecycle(_) => None,
    })
}
