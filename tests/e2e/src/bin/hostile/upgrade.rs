//! Thousands of upgrades behind a proxy that cuts, holds up, swallows or changes them at some byte. None
//! may end the session that polls, or lose, double or reorder an event.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use game_realtime_e2e::{
    Dice, Fate, Meddler, Meddling, Plan, Polling, Server, event,
    raw::{Heard, Raw},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

const ATTEMPTS: usize = 2000;
const SESSIONS: usize = 20;
const GUEST: &str = "/core/game/v1/real-time/guest";
/// Between two broadcasts.
const PACE: Duration = Duration::from_millis(25);
/// How long a client waits for an answer over its WebSocket before it gives that up.
const GIVE_UP: Duration = Duration::from_millis(400);
/// How long the last poll may take to be answered.
const LAST_POLL: Duration = Duration::from_secs(5);
/// How often a client of version 3 has to ping.
const PING: Duration = Duration::from_secs(4);
/// The lengths of what a client says: the head of its request at least, its probe, its upgrade.
const HEAD: i64 = 250;
const PROBE: i64 = 12;
const UPGRADE: i64 = 7;
/// The length of what it is answered after the head.
const ANSWER: i64 = 8;

/// `numbers`: how many upgrades at least, and the seed.
pub(crate) async fn run(server: &Server, numbers: &[u64]) -> bool {
    let attempts = numbers.first().and_then(|it| usize::try_from(*it).ok()).unwrap_or(ATTEMPTS);
    let seed = numbers.get(1).copied().unwrap_or_else(|| u64::from(std::process::id()));
    let left = Arc::new(AtomicUsize::new(attempts.max(ATTEMPTS)));
    let done = Arc::new(AtomicBool::new(false));
    let sender = tokio::spawn(broadcast(server.port(), Arc::clone(&done)));
    let players = (0..SESSIONS as u64).map(|number| {
        let (port, left) = (server.port(), Arc::clone(&left));
        let version = if number % 2 == 0 { 4 } else { 3 };
        tokio::spawn(play(port, version, Dice::new(seed.wrapping_add(number << 32)), left))
    });
    let results: Vec<_> = join_all(players).await;
    done.store(true, Ordering::Relaxed);
    let sent = sender.await;
    let mut seen = Seen::default();
    let mut passed = sent.is_ok();
    for result in results {
        match result {
            Ok(Ok(of_one)) => seen.add(&of_one),
            Ok(Err(violation)) => {
                println!("upgrade: {violation}");
                passed = false;
            }
            Err(panicked) => {
                println!("upgrade: {panicked}");
                passed = false;
            }
        }
    }
    println!(
        "upgrade: seed {seed}; {} upgrades tried, {} broke off, {} came through; {} events in order, {} \
         broadcasts sent",
        seen.attempts,
        seen.attempts - seen.upgraded,
        seen.upgraded,
        seen.events,
        sent.unwrap_or_default()
    );
    passed && seen.upgraded > 0 && seen.attempts >= attempts
}

/// What became of it.
#[derive(Debug, Default)]
struct Seen {
    attempts: usize,
    upgraded: usize,
    events: usize,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.upgraded += other.upgraded;
        self.events += other.events;
    }
}

/// Broadcasts numbers until it is done.
async fn broadcast(port: u16, done: Arc<AtomicBool>) -> u64 {
    let mut raw = Raw::guest(port).await.expect("a guest joins");
    let mut number = 0;
    while !done.load(Ordering::Relaxed) {
        let packet = format!("421[\"{}\",{{\"message\":\"{number}\"}}]", event::BROADCAST);
        raw.send_text(&packet).await.expect("it is connected");
        let answer = raw.hear_part("431[", LAST_POLL).await.expect("it is answered");
        assert!(answer.contains("\"status\":\"ok\""), "{answer}");
        number += 1;
        sleep(PACE).await;
    }
    number
}

/// The events of one player: each number follows the one before.
#[derive(Default)]
struct Events {
    last: Option<u64>,
    cursor: Option<String>,
    count: usize,
}

impl Events {
    fn take(&mut self, packet: &str) -> Result<(), String> {
        let Some(json) = packet.strip_prefix("42") else { return Ok(()) };
        let event: serde_json::Value = serde_json::from_str(json).map_err(|it| it.to_string())?;
        let cursor = event.pointer("/1/cursor").and_then(serde_json::Value::as_str);
        self.cursor = cursor.map(str::to_owned).or(self.cursor.take());
        let Some(number) = event.pointer("/1/message").and_then(serde_json::Value::as_str) else {
            return Ok(());
        };
        let number: u64 = number.parse().map_err(|_| format!("no number: {packet}"))?;
        if self.last.is_some_and(|last| number != last + 1) {
            return Err(format!("{number} after {:?}", self.last));
        }
        self.last = Some(number);
        self.count += 1;
        Ok(())
    }
}

/// One client that polls in a task of its own, until it is told to stop.
struct Poller {
    polling: Arc<Polling>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Result<Events, (Events, String)>>,
}

impl Poller {
    fn start(polling: Arc<Polling>, version: u8, mut events: Events) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn({
            let (polling, stop) = (Arc::clone(&polling), Arc::clone(&stop));
            async move {
                let mut pinged = Instant::now();
                while !stop.load(Ordering::Acquire) {
                    if version == 3 && pinged.elapsed() > PING {
                        polling.send("2").await;
                        pinged = Instant::now();
                    }
                    let polled = polling.try_poll().await;
                    if polled.status != 200 {
                        return Err((events, format!("the session ended: {polled:?}")));
                    }
                    for packet in polling.packets(&polled.body) {
                        if packet == "2" {
                            polling.send("3").await;
                        }
                        if let Err(violation) = events.take(&packet) {
                            return Err((events, violation));
                        }
                    }
                }
                Ok(events)
            }
        });
        Self { polling, stop, task }
    }

    /// Waits until the last poll is answered.
    async fn stop(self) -> Result<Events, (Events, String)> {
        self.stop.store(true, Ordering::Release);
        match timeout(LAST_POLL, self.task).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(panicked)) => Err((Events::default(), panicked.to_string())),
            Err(_) => Err((Events::default(), "the last poll was not answered".to_owned())),
        }
    }
}

async fn open(port: u16, version: u8, cursor: Option<&str>) -> Arc<Polling> {
    let query = cursor.map(|cursor| format!("&cursor={}", cursor.replace(':', "%3A")));
    let polling =
        Polling::open_with(port, GUEST, version, query.as_deref().unwrap_or_default()).await;
    if version == 4 {
        polling.send("40").await;
    }
    Arc::new(polling)
}

async fn play(
    port: u16,
    version: u8,
    mut dice: Dice,
    left: Arc<AtomicUsize>,
) -> Result<Seen, String> {
    let next = Arc::new(Mutex::new(None::<Fate>));
    let plan: Plan = {
        let next = Arc::clone(&next);
        Arc::new(move |_| *next.lock().unwrap_or_else(PoisonError::into_inner))
    };
    let meddler = Meddler::before(port, plan).await;
    let mut seen = Seen::default();
    let mut poller = Poller::start(open(port, version, None).await, version, Events::default());
    while left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
    {
        let fate = fate(&mut dice);
        *next.lock().unwrap_or_else(PoisonError::into_inner) = fate;
        let told = |(_, violation)| format!("version {version}, {fate:?}: {violation}");
        seen.attempts += 1;
        let polling = Arc::clone(&poller.polling);
        let Some(mut raw) = probe(&meddler, &polling).await else { continue };
        let mut events = poller.stop().await.map_err(told)?;
        raw.send_text("5").await.ok();
        let mut has_moved = false;
        let until = Instant::now() + GIVE_UP * 2;
        while let Heard::Text(packet) = raw.hear(GIVE_UP).await {
            has_moved = true;
            events.take(&packet).map_err(|it| told((Events::default(), it)))?;
            if Instant::now() > until {
                break;
            }
        }
        drop(raw);
        let polling = if has_moved {
            seen.upgraded += 1;
            open(port, version, events.cursor.as_deref()).await
        } else if fate.is_none_or(|fate| matches!(fate.what, Meddling::Delay(_))) {
            // It may have come too late for this client.
            open(port, version, events.cursor.as_deref()).await
        } else {
            polling
        };
        poller = Poller::start(polling, version, events);
    }
    sleep(GIVE_UP).await;
    let events = poller.stop().await.map_err(|(_, violation)| violation)?;
    seen.events = events.count;
    Ok(seen)
}

/// A WebSocket that was probed with success.
async fn probe(meddler: &Meddler, polling: &Polling) -> Option<Raw> {
    let opened = Raw::upgrade(meddler.port(), &polling.upgrade_path(), GIVE_UP).await;
    let (mut raw, Some(101)) = opened.ok()? else { return None };
    raw.send_text("2probe").await.ok()?;
    (raw.hear(GIVE_UP).await == Heard::Text("3probe".to_owned())).then_some(raw)
}

/// What happens to the next WebSocket: nothing to one in ten. Otherwise the upgrade never comes through
/// whole, unless it is only held up.
fn fate(dice: &mut Dice) -> Option<Fate> {
    let signed = |number: u64| i64::try_from(number).unwrap_or_default();
    if dice.below(10) == 0 {
        return None;
    }
    let what = match dice.below(4) {
        0 => Meddling::Cut,
        1 => Meddling::Swallow,
        2 => Meddling::Delay(Duration::from_millis(dice.below(150))),
        _ => Meddling::Rewrite(u8::try_from(1 + dice.below(255)).unwrap_or(1)),
    };
    let answers = dice.below(3) == 0;
    let at = match (answers, dice.below(4) == 0) {
        (false, true) => -1 - signed(dice.below(HEAD.unsigned_abs())),
        (false, false) => signed(dice.below((PROBE + UPGRADE).unsigned_abs())),
        (true, _) => signed(dice.below(ANSWER.unsigned_abs())),
    };
    Some(Fate { answers, at, what })
}
