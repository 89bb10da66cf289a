//! 100 of 1,000 players stop reading, in the middle of what everybody is told.

use std::{ops::Range, time::Duration};

use futures_util::future::join_all;
use game_realtime_e2e::{
    PATIENCE, Server, mint,
    raw::{PRIVATE, Raw},
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use crate::honest::p99;

const READERS: usize = 900;
const STALLED: usize = 100;
/// How many come in at the same time.
const AT_ONCE: usize = 50;
/// What everybody is told: so much, so often. In ten seconds that is more than a socket and the node's
/// buffer for one connection hold.
const MESSAGE: usize = 16_000;
const PACE: Duration = Duration::from_millis(40);
/// How long it is measured before and after they stop.
const MEASURED: Duration = Duration::from_secs(20);
const GONE_WITHIN: Duration = Duration::from_secs(25);
const MEMORY_KIB: u64 = 100 * 1024;
/// On a machine that does nothing, twice next to nothing is nothing to speak of.
const UNNOTICED: Duration = Duration::from_millis(20);
const GAUGE: &str = "game_realtime_connections{namespace=\"private\"}";
const SLOW: &str =
    "game_realtime_disconnects_total{namespace=\"private\",reason=\"slow_consumer\"}";

/// What one reader has seen.
#[derive(Default)]
struct Seen {
    /// The number that comes next.
    next: usize,
    /// Whether each number came once, and in its turn.
    complete: bool,
    /// When each event was sent, since the beginning, and how long it took.
    times: Vec<(Duration, Duration)>,
}

pub(crate) async fn run(server: &Server) -> bool {
    let port = server.port();
    let began = Instant::now();
    let stop = watch::Sender::new(false);
    let mut readers = Vec::new();
    for from in (0..READERS).step_by(AT_ONCE) {
        let some =
            (from..from + AT_ONCE).map(|number| join(port, format!("reader-{number}"), false));
        for raw in join_all(some).await {
            readers.push(tokio::spawn(read(raw, began, stop.subscribe())));
        }
    }
    let mut others = Vec::new();
    for from in (0..STALLED).step_by(AT_ONCE) {
        let some = (from..from + AT_ONCE).map(|number| join(port, stalled_user(number), true));
        others.extend(join_all(some).await);
    }
    let stall = watch::Sender::new(false);
    let others = others.into_iter().map(|raw| tokio::spawn(read_until(raw, stall.subscribe())));
    let others: Vec<_> = others.collect();
    let speaker = tokio::spawn(speak(port, began, stop.subscribe()));

    sleep(MEASURED).await;
    let (before, _) = server.memory();
    let stalled_at = Instant::now();
    stall.send_replace(true);
    let (mut gone_after, mut most) = (None, 0);
    while stalled_at.elapsed() < MEASURED.max(GONE_WITHIN) {
        sleep(Duration::from_millis(200)).await;
        most = most.max(server.memory().0);
        if gone_after.is_none() && value(server, GAUGE).await <= READERS as u64 + 1 {
            gone_after = Some(stalled_at.elapsed());
        }
    }
    let slow = value(server, SLOW).await;
    stop.send_replace(true);
    let said = speaker.await.expect("the speaker ends");
    let seen = join_all(readers).await.into_iter().map(|seen| seen.expect("a reader ends"));
    let seen: Vec<Seen> = seen.collect();
    let registered = registered(port).await;
    for other in others {
        other.abort();
    }

    let complete = seen.iter().filter(|seen| seen.complete && seen.next == said).count();
    let turned = stalled_at - began;
    let of = |span: Range<Duration>| {
        let times = seen.iter().flat_map(|seen| &seen.times);
        p99(times.filter(|(at, _)| span.contains(at)).map(|(_, took)| *took).collect())
    };
    // What comes after they are gone says nothing of what they cost.
    let gone = turned + gone_after.unwrap_or(GONE_WITHIN);
    let (quiet, stalled) = (of(Duration::ZERO..turned), of(turned..gone));
    println!(
        "slow-consumers: {said} broadcasts of {MESSAGE} bytes, {complete} of {READERS} readers got all; \
         p99 {quiet:?}, with {STALLED} that do not read {stalled:?}; memory {} MiB before, at most {} MiB; \
         those are gone from the node after {gone_after:?} ({slow} for being slow), {registered} of them are \
         registered",
        before / 1024,
        most / 1024,
    );
    complete == READERS
        && (stalled < quiet * 2 || stalled < UNNOTICED)
        && most < before + MEMORY_KIB
        && gone_after.is_some_and(|after| after < GONE_WITHIN)
        && registered == 0
}

fn stalled_user(number: usize) -> String {
    format!("stalled-{number}")
}

async fn join(port: u16, user: String, narrow: bool) -> Raw {
    let raw =
        if narrow { Raw::narrow(port, PRIVATE).await } else { Raw::websocket(port, PRIVATE).await };
    let mut raw = raw.expect("a handshake");
    raw.join(&format!("40{{\"token\":{:?}}}", mint(&user))).await.expect("a player joins");
    raw
}

/// Tells everybody, until it is stopped; how often.
async fn speak(port: u16, began: Instant, stop: watch::Receiver<bool>) -> usize {
    let mut raw = join(port, "speaker".to_owned(), false).await;
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut said = 0;
    while !*stop.borrow() {
        pace.tick().await;
        let head = format!("{said} {} ", began.elapsed().as_micros());
        let message = format!("{head}{}", "x".repeat(MESSAGE - head.len()));
        let event = format!("42[\"core.game.state.broadcast\",{{\"message\":\"{message}\"}}]");
        raw.send_text(&event).await.expect("the speaker is connected");
        said += 1;
        raw.read_frames(Duration::ZERO, |_| {}).await;
        raw.send_text("3").await.ok();
    }
    said
}

/// Reads all there is until it is stopped and has heard nothing for a while.
async fn read(mut raw: Raw, began: Instant, stop: watch::Receiver<bool>) -> Seen {
    let mut seen = Seen { complete: true, ..Seen::default() };
    loop {
        let mut heard = false;
        let mut asked = false;
        let open = raw.read_frames(Duration::from_millis(500), |payload| {
            heard = true;
            asked |= payload == b"2";
            if let Some((number, sent)) = parse(payload) {
                seen.complete &= number == seen.next;
                seen.next = number + 1;
                seen.times.push((sent, began.elapsed().saturating_sub(sent)));
            }
        });
        let open = open.await;
        if asked {
            raw.send_text("3").await.ok();
        }
        if !open || (*stop.borrow() && !heard) {
            return seen;
        }
    }
}

/// Reads all there is until it stalls; then it keeps the connection and does nothing.
async fn read_until(mut raw: Raw, mut stall: watch::Receiver<bool>) {
    while !*stall.borrow_and_update() {
        let mut asked = false;
        raw.read_frames(Duration::from_millis(100), |payload| asked |= payload == b"2").await;
        if asked {
            raw.send_text("3").await.ok();
        }
    }
    std::future::pending::<()>().await;
}

/// The number of a broadcast, and when it was sent.
fn parse(payload: &[u8]) -> Option<(usize, Duration)> {
    let text = std::str::from_utf8(payload.get(..payload.len().min(120))?).ok()?;
    let (_, text) = text.split_once("{\"message\":\"")?;
    let mut words = text.split(' ');
    let number = words.next()?.parse().ok()?;
    Some((number, Duration::from_micros(words.next()?.parse().ok()?)))
}

/// How many of those that stalled the store knows.
async fn registered(port: u16) -> usize {
    let mut witness = join(port, "witness".to_owned(), false).await;
    let mut registered = 0;
    for number in 0..STALLED {
        let user = stalled_user(number);
        let event = format!(
            "421[\"core.game.state.send_message\",{{\"target_user_id\":\"{user}\",\"text\":\"there?\"}}]"
        );
        witness.send_text(&event).await.expect("the witness is connected");
        let answer = timeout(PATIENCE, witness.hear_part("431[", PATIENCE)).await;
        let answer = answer.expect("an answer in time").expect("an answer");
        registered += usize::from(!answer.contains("\"connections\":0"));
    }
    registered
}

async fn value(server: &Server, series: &str) -> u64 {
    let metrics = server.admin("/metrics").await.expect("the admin port answers").body;
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).expect("a count")
}
