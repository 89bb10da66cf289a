//! One client that sends nonsense, again and again, wherever it is let.

use std::time::Duration;

use tokio::time::timeout;

use super::inputs::Layer;
use crate::{
    Dice,
    raw::{GUEST, Heard, Raw, frame, opcode},
};

/// How long it listens after each input.
const LISTENS: Duration = Duration::from_millis(1);
/// How long an answer to a request may take.
const ANSWER: Duration = Duration::from_millis(300);
/// How long it may take to be let in.
const ENTRY: Duration = Duration::from_secs(10);
/// How many inputs one connection gets at most.
const VISIT: usize = 60;
/// As the Socket.IO namespace of guests is written in packets.
const NAMESPACE: &str = "/core/game/v1/real-time/guest,";

/// What was sent, and how it was met.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Inputs of all layers.
    pub inputs: usize,
    /// How often a connection was closed because of one.
    pub closed: usize,
    /// How often something was answered.
    pub answered: usize,
    /// Connections and sessions that were begun.
    pub visits: usize,
    /// How often nobody was let in for a while.
    pub refused: usize,
}

impl Tally {
    /// Adds another one's figures.
    pub fn add(&mut self, other: &Self) {
        self.inputs += other.inputs;
        self.closed += other.closed;
        self.answered += other.answered;
        self.visits += other.visits;
        self.refused += other.refused;
    }
}

/// Sends so many inputs.
pub(super) async fn attack(port: u16, seed: u64, inputs: usize) -> Tally {
    let mut dice = Dice::new(seed);
    let mut tally = Tally::default();
    while tally.inputs < inputs {
        let layer = *one_of(&mut dice, &Layer::ALL);
        let version = *one_of(&mut dice, &[4, 3]);
        tally.visits += 1;
        let visit = 1 + dice.index(VISIT);
        let left = visit.min(inputs - tally.inputs);
        match layer {
            Layer::Http => ask(port, &mut dice, &mut tally, left).await,
            Layer::Polling => poll(port, version, &mut dice, &mut tally, left).await,
            Layer::Frames | Layer::EngineIo | Layer::SocketIo | Layer::Events => {
                talk(port, layer, version, &mut dice, &mut tally, left).await;
            }
        }
    }
    tally
}

fn one_of<'a, T>(dice: &mut Dice, of: &'a [T]) -> &'a T {
    of.get(dice.index(of.len())).expect("an index")
}

/// Each on a connection of its own.
async fn ask(port: u16, dice: &mut Dice, tally: &mut Tally, count: usize) {
    for _ in 0..count {
        tally.inputs += 1;
        let input = Layer::Http.input(dice);
        let Ok(mut raw) = Raw::connect(port).await else {
            tally.refused += 1;
            continue;
        };
        raw.send(&input).await.ok();
        if raw.is_closed_within(LISTENS * 3).await {
            tally.closed += 1;
        }
    }
}

async fn talk(
    port: u16,
    layer: Layer,
    version: u8,
    dice: &mut Dice,
    tally: &mut Tally,
    count: usize,
) {
    let path = if dice.below(2) == 0 { GUEST } else { "/socket.io/" };
    let Ok(Ok(mut raw)) = timeout(ENTRY, Raw::websocket_of(port, path, version)).await else {
        tally.refused += 1;
        return;
    };
    let joins = matches!(layer, Layer::SocketIo | Layer::Events) || dice.below(3) == 0;
    if joins {
        // Clients of version 2 are in the root namespace as soon as they are there.
        let packet = match (path, version) {
            (GUEST, 3) => None,
            (GUEST, _) => Some("40".to_owned()),
            _ => Some(format!("40{NAMESPACE}")),
        };
        if let Some(packet) = packet {
            raw.send_text(&packet).await.ok();
        }
        raw.hear_part(crate::event::READY, ENTRY).await.ok();
    }
    for _ in 0..count {
        tally.inputs += 1;
        let input = layer.input(dice);
        let sent = match layer {
            Layer::Frames => raw.send(&scramble(dice, &input)).await,
            Layer::Events => raw.send(&frame(opcode::TEXT, &addressed(path, input))).await,
            Layer::EngineIo | Layer::SocketIo | Layer::Http | Layer::Polling => {
                raw.send(&frame(opcode::TEXT, &input)).await
            }
        };
        match raw.hear(LISTENS).await {
            Heard::Text(_) => tally.answered += 1,
            Heard::Nothing if sent.is_ok() => {}
            Heard::Closed | Heard::Nothing => {
                tally.closed += 1;
                return;
            }
        }
    }
}

/// An event of the namespace that it joined.
fn addressed(path: &str, mut event: Vec<u8>) -> Vec<u8> {
    if path != GUEST && event.starts_with(b"42") {
        event.splice(2..2, NAMESPACE.bytes());
    }
    event
}

/// A frame around an input, of which now and then not even the head is right.
fn scramble(dice: &mut Dice, input: &[u8]) -> Vec<u8> {
    let first = match dice.below(8) {
        0 => u8::try_from(dice.below(256)).unwrap_or_default(),
        1 => opcode::BINARY,
        2 => opcode::TEXT_BEGINS,
        3 => 0x80,
        4 => 0x89,
        _ => opcode::TEXT,
    };
    let mut bytes = frame(first, input);
    for _ in 0..dice.below(3) {
        let at = dice.index(bytes.len().clamp(1, 14));
        if let Some(byte) = bytes.get_mut(at) {
            *byte = u8::try_from(dice.below(256)).unwrap_or_default();
        }
    }
    if dice.below(16) == 0 {
        bytes.truncate(dice.index(bytes.len().max(1)));
    }
    bytes
}

async fn poll(port: u16, version: u8, dice: &mut Dice, tally: &mut Tally, count: usize) {
    let path = if dice.below(2) == 0 { GUEST } else { "/socket.io/" };
    let Ok(mut raw) = Raw::connect(port).await else {
        tally.refused += 1;
        return;
    };
    let target = format!("{path}?EIO={version}&transport=polling");
    let opened = raw.request(&format!("GET {target} HTTP/1.1"), b"", ENTRY).await;
    let sid = opened.as_ref().and_then(|(_, body)| {
        let (_, rest) = body.split_once("\"sid\":\"")?;
        rest.split('"').next().map(str::to_owned)
    });
    let Some(sid) = sid else {
        tally.refused += 1;
        return;
    };
    let target = format!("{target}&sid={sid}");
    for _ in 0..count {
        tally.inputs += 1;
        let input = Layer::Polling.input(dice);
        let length = input.len();
        let post = format!("POST {target} HTTP/1.1\r\nContent-Length: {length}");
        match raw.request(&post, &input, ANSWER).await {
            Some((200, _)) => tally.answered += 1,
            // It is over: the session, or the connection.
            Some(_) | None => {
                tally.closed += 1;
                return;
            }
        }
        if dice.below(4) == 0
            && raw.request(&format!("GET {target} HTTP/1.1"), b"", ANSWER).await.is_none()
        {
            return;
        }
    }
}
