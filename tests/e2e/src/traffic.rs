//! Live traffic: players who all the time send, listen, and come back with their cursor by
//! themselves when they are cut off; and the verdict over what they saw.

mod sender;
mod verdict;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

pub use sender::Sent;
pub use verdict::Verdict;

use crate::{
    Client, ConnectOptions, Driver, Form, Library, Namespace, PATIENCE, Received, event, mint,
    reader::earlier,
    validator::{Acked, ConnectionLog, Delivery},
};
use sender::send_all_the_time;

const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Of the JavaScript library, in turn.
const VERSIONS: [u8; 5] = [4, 4, 3, 2, 4];

/// Who makes the traffic.
#[derive(Debug, Clone, Copy)]
pub struct TrafficOptions {
    /// What the users' names begin with.
    pub name: &'static str,
    /// Users; each has two connections.
    pub users: usize,
    /// Guests.
    pub guests: usize,
    /// How long each waits between an answer and the next event.
    pub pace: Duration,
    /// How much each event carries besides.
    pub padding: usize,
}

impl Default for TrafficOptions {
    fn default() -> Self {
        Self { name: "player", users: 5, guests: 3, pace: Duration::from_millis(60), padding: 0 }
    }
}

/// Clients that send until they are told to stop.
pub struct Traffic {
    clients: Vec<Arc<Client>>,
    sending: Vec<JoinHandle<Sent>>,
    /// Acknowledgements so far.
    acked: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    started: Instant,
    driver: Driver,
}

impl Traffic {
    /// Connects everybody to one of the addresses, in turn, and lets them send.
    ///
    /// # Panics
    /// When somebody is refused.
    pub async fn start(urls: &[String], options: TrafficOptions) -> Self {
        let driver = Driver::start(Library::JavaScript4);
        let connecting = (0..options.users * 2 + options.guests).map(|number| {
            let url = urls.get(number % urls.len()).expect("there is an address");
            // One address may be that of a balancer that sends every connection elsewhere; polling
            // is many connections to one node.
            let polls = urls.len() > 1 && number % 4 == 1;
            connect(&driver, url, number, if polls { "polling" } else { "websocket" }, &options)
        });
        let clients: Vec<Arc<Client>> = join_all(connecting).await;
        let stop = watch::Sender::new(false);
        let acked = Arc::<AtomicUsize>::default();
        let sending = clients.iter().enumerate().map(|(number, client)| {
            let client = Arc::clone(client);
            let (acked, stop) = (Arc::clone(&acked), stop.subscribe());
            tokio::spawn(send_all_the_time(client, number, options, acked, stop))
        });
        let sending = sending.collect();
        Self { clients, sending, acked, stop, started: Instant::now(), driver }
    }

    /// Everybody.
    #[must_use]
    pub fn clients(&self) -> Vec<&Client> {
        self.clients.iter().map(AsRef::as_ref).collect()
    }

    /// The history that all this happens in.
    ///
    /// # Panics
    /// When there is nobody.
    #[must_use]
    pub fn epoch(&self) -> String {
        let client = self.clients.first().expect("there is somebody");
        client.ready_text("cursor").split(':').next().unwrap_or_default().to_owned()
    }

    /// A driver for clients of the test's own.
    #[must_use]
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Waits until everybody has seen an event that is sent from now on: all are back, and live.
    /// Returns how long that took.
    ///
    /// # Panics
    /// When it takes more than a test's patience.
    pub async fn await_flow(&self) -> Duration {
        let started = Instant::now();
        let seen: Vec<usize> = self.clients.iter().map(|client| count_broadcasts(client)).collect();
        let flows = || {
            self.clients.iter().zip(&seen).all(|(client, seen)| count_broadcasts(client) > *seen)
        };
        while !flows() {
            assert!(started.elapsed() < PATIENCE, "events flow to everybody");
            sleep(POLL_INTERVAL).await;
        }
        started.elapsed()
    }

    /// Waits until so many more events are acknowledged.
    ///
    /// # Panics
    /// When it takes more than a test's patience.
    pub async fn await_acked(&self, more: usize) {
        let started = Instant::now();
        let enough = self.acked.load(Ordering::Relaxed) + more;
        while self.acked.load(Ordering::Relaxed) < enough {
            assert!(started.elapsed() < PATIENCE, "{more} events are acknowledged");
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Ends the sending, waits until everybody has got a last event, and hands over what was seen
    /// and what was acknowledged.
    ///
    /// # Panics
    /// When a sender panicked, or the last events are not committed in time.
    pub async fn finish(self) -> Finished {
        Self::finish_all(vec![self], &[]).await
    }

    /// Ends several at once: they share the store. `watchers` are clients of the test's own that
    /// are connected; they too must have got all.
    ///
    /// # Panics
    /// As [`finish`](Self::finish).
    pub async fn finish_all(all: Vec<Self>, watchers: &[&Client]) -> Finished {
        let mut sent = Sent::default();
        let mut took = Duration::ZERO;
        let (mut clients, mut drivers) = (Vec::new(), Vec::new());
        for traffic in &all {
            traffic.stop.send_replace(true);
        }
        for traffic in all {
            for sending in traffic.sending {
                sent.add(sending.await.expect("no sender panics"));
            }
            took = took.max(traffic.started.elapsed());
            clients.extend(traffic.clients);
            drivers.push(traffic.driver);
        }
        let everybody: Vec<&Client> =
            clients.iter().map(AsRef::as_ref).chain(watchers.iter().copied()).collect();
        for namespace in [Namespace::Private, Namespace::Guest] {
            let there: Vec<_> = everybody
                .iter()
                .copied()
                .filter(|client| client.namespace() == namespace)
                .collect();
            if let Some(first) = there.first() {
                let last = say_the_last(first).await;
                await_all(&there, &last.event.id).await;
                sent.acked.push(last);
            }
        }
        let logs = everybody.iter().flat_map(|client| ConnectionLog::of(client, true)).collect();
        Finished { logs, sent, took, clients, drivers }
    }
}

/// Traffic that has ended. The clients stay connected until it is dropped.
pub struct Finished {
    logs: Vec<ConnectionLog>,
    sent: Sent,
    took: Duration,
    clients: Vec<Arc<Client>>,
    drivers: Vec<Driver>,
}

impl Finished {
    /// A driver for clients of the test's own.
    ///
    /// # Panics
    /// When there was no traffic.
    #[must_use]
    pub fn driver(&self) -> &Driver {
        self.drivers.first().expect("there was traffic")
    }

    /// Where the first of them began.
    ///
    /// # Panics
    /// When there is nobody.
    #[must_use]
    pub fn beginning(&self) -> String {
        let cursors = self.clients.iter().map(|client| client.ready_text("cursor"));
        cursors.reduce(earlier).expect("there is somebody").to_owned()
    }

    /// The names of the users.
    #[must_use]
    pub fn users(&self) -> Vec<String> {
        let mut users: Vec<_> = self
            .clients
            .iter()
            .filter_map(|client| client.ready().get("user_id")?.as_str().map(str::to_owned))
            .collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// What the validator says, given everything that is in the store.
    #[must_use]
    pub fn judge(self, stored: &[Delivery]) -> Verdict {
        Verdict::new(&self.logs, self.sent, self.took, stored)
    }
}

async fn connect(
    driver: &Driver,
    url: &str,
    number: usize,
    transport: &str,
    options: &TrafficOptions,
) -> Arc<Client> {
    let connect = if number < options.users * 2 {
        ConnectOptions::player(url, &mint(&user(options, number % options.users)))
    } else {
        ConnectOptions::guest(url)
    };
    let form = if number.is_multiple_of(3) { Form::Path } else { Form::Namespace };
    let connect = connect
        .by(form)
        .over(&[transport])
        .insisting()
        .with("version", VERSIONS.get(number % VERSIONS.len()))
        .with(
            "options",
            json!({"reconnectionDelay": 50, "reconnectionDelayMax": 500, "timeout": 3000}),
        );
    let client = driver.connect(&connect).await;
    Arc::new(client.unwrap_or_else(|refused| panic!("client {number}: {refused:?}")))
}

fn user(options: &TrafficOptions, number: usize) -> String {
    format!("{}-{number}", options.name)
}

fn count_broadcasts(client: &Client) -> usize {
    client.count_events(event::BROADCAST)
}

/// One more broadcast. There is one order: who has it has all before it.
async fn say_the_last(client: &Client) -> Acked {
    let payload = json!({"message": "the last", "request_id": "the last"});
    let started = Instant::now();
    loop {
        let ack = client.emit_within(event::BROADCAST, payload.clone(), sender::EMIT_TIMEOUT).await;
        if let Ok(ack) = &ack
            && let Some(acked) = Acked::parse(client, &payload, ack)
        {
            return acked;
        }
        assert!(started.elapsed() < PATIENCE, "the last event is not committed: {ack:?}");
        sleep(POLL_INTERVAL).await;
    }
}

/// Waits until all have an event. Who does not get it is the validator's business.
async fn await_all(clients: &[&Client], id: &str) {
    let started = Instant::now();
    let has = |received: &Received| {
        received.name != event::READY && received.payload().get("id").is_some_and(|is| is == id)
    };
    while started.elapsed() < PATIENCE && !clients.iter().all(|client| client.saw(has)) {
        sleep(POLL_INTERVAL).await;
    }
}
