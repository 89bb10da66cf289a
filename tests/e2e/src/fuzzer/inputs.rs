//! What is sent at each layer: what belongs there, broken in a few places.

use game_realtime_fuzz::Broken;

use crate::Dice;

/// Random bytes that decide about one input.
const CHANCE: usize = 256;

/// Where an input goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// Bytes on a new TCP connection.
    Http,
    /// Bytes on a WebSocket.
    Frames,
    /// Text frames on a WebSocket that has joined nothing.
    EngineIo,
    /// Text frames on one that has joined.
    SocketIo,
    /// The data of events on one that has joined.
    Events,
    /// Bodies of polling requests.
    Polling,
}

impl Layer {
    pub(super) const ALL: [Self; 6] =
        [Self::Http, Self::Frames, Self::EngineIo, Self::SocketIo, Self::Events, Self::Polling];

    /// An input for it.
    pub(super) fn input(self, dice: &mut Dice) -> Vec<u8> {
        let chance: Vec<u8> =
            (0..CHANCE / 8).flat_map(|_| dice.below(u64::MAX).to_le_bytes()).collect();
        self.broken().made_of(&chance)
    }

    fn broken(self) -> Broken {
        match self {
            Self::Http => Broken::bytes(REQUESTS, HEADER_WORDS),
            Self::Frames => Broken::bytes(FRAMES, FRAME_WORDS),
            Self::EngineIo => Broken::bytes(ENGINE_PACKETS, PACKET_WORDS),
            Self::SocketIo => Broken::bytes(SOCKET_PACKETS, PACKET_WORDS),
            Self::Events => Broken::bytes(EVENTS, PACKET_WORDS),
            Self::Polling => Broken::bytes(PAYLOADS, PACKET_WORDS),
        }
    }
}

const REQUESTS: &[&str] = &[
    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /core/game/v1/real-time/private/?EIO=3&transport=polling&t=a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a.b.c\r\n\r\n",
    "GET /core/game/v1/real-time/guest?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA&cursor=a%3A1.1 HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1, 192.0.2.1\r\n\r\n",
    "POST /socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n40",
    "POST /socket.io/?EIO=3&transport=polling&sid=AAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n2:40\r\n0\r\n\r\n",
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "OPTIONS /socket.io/ HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n",
];
const HEADER_WORDS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "\n",
    ":",
    ": ",
    "/",
    "?",
    "&",
    "%",
    "%00",
    "HTTP/1.0",
    "HTTP/2",
    "GET ",
    "POST ",
    "\u{0}",
    "Content-Length: 99999999\r\n",
    "Content-Length: -1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "Connection: Upgrade\r\n",
    "Upgrade: websocket\r\n",
    "Host: b\r\n",
    "Origin: null\r\n",
    "Cookie: a=b; c\r\n",
    "ffffffffffffffff\r\n",
    "0\r\n\r\n",
    "sid=",
    "EIO=",
    "transport=",
    "é",
    "Sec-WebSocket-Key: \r\n",
    "X: ",
];

/// Masked with zeros; what follows the head of 126 is one byte short of what it says.
const FRAMES: &[&str] =
    &["\u{1}", "2", "\u{9}\u{4}", "40", "42[\"core.game.state.broadcast\",{\"message\":\"a\"}]"];
const FRAME_WORDS: &[&str] = &[
    "\u{0}",
    "\u{1}",
    "\u{2}",
    "\u{8}",
    "\u{9}",
    "\u{a}",
    "\u{7e}",
    "\u{7f}",
    "\u{0}\u{0}\u{0}\u{0}",
    "~\u{1}\u{0}",
    "40",
    "42[",
];

const ENGINE_PACKETS: &[&str] = &[
    "2",
    "3",
    "4",
    "5",
    "6",
    "1",
    "2probe",
    "0{\"sid\":\"a\"}",
    "40",
    "40/core/game/v1/real-time/guest,",
    "bAAAA",
];

const SOCKET_PACKETS: &[&str] = &[
    "40",
    "40/core/game/v1/real-time/guest,{\"cursor\":\"a:1.1\"}",
    "40/core/game/v1/real-time/private,{\"token\":\"a.b.c\"}",
    "40/core/game/v1/real-time/guest?cursor=a%3A1.1,",
    "41",
    "42[\"core.game.state.broadcast\",{\"message\":\"a\"}]",
    "427[\"core.game.state.send_message\",{\"target_user_id\":\"player-0\",\"text\":\"a\"}]",
    "42/core/game/v1/real-time/guest,[\"core.game.state.broadcast\",{\"message\":\"a\"}]",
    "430[{\"status\":\"ok\"}]",
    "44{\"message\":\"a\"}",
    "451-[\"core.game.state.broadcast\",{\"_placeholder\":true,\"num\":0}]",
    "461-7[{\"_placeholder\":true,\"num\":0}]",
];

const EVENTS: &[&str] = &[
    "421[\"core.game.state.broadcast\",{\"message\":\"hello\"}]",
    "422[\"core.game.state.broadcast\",{\"message\":\"h\\u00e9\",\"request_id\":\"r1\"}]",
    "423[\"core.game.state.send_message\",{\"target_user_id\":\"player-0\",\"text\":\"hi\"}]",
    "424[\"core.game.state.send_message\",{\"target_user_id\":\"a/b%2F\\u00e9\",\"text\":\"hi\",\"request_id\":\"r/2\"}]",
    "425[\"core.game.state.buy_good\",{\"good_id\":\"sword\",\"count\":3}]",
    "42[\"core.game.connection.mark\",0]",
    "42[\"core.game.connection.ready\",{}]",
];
const PACKET_WORDS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "9999999999999999999999",
    "\\ud800",
    "\\u0000",
    "\u{0}",
    "\u{1e}",
    "é",
    "\u{1F3AE}",
    "4",
    "2",
    "/",
    "?",
    "-",
    "\"a\":1,",
    "\"request_id\":\"r\",",
    "\"request_id\":",
    "core.game.state.",
    "core.game.connection.mark",
    "{\"_placeholder\":true,\"num\":0}",
    "1-",
    "10:",
    "{\"a\":",
    "[[",
];

/// Of both versions: packets that are separated, and packets with their lengths.
const PAYLOADS: &[&str] = &[
    "40",
    "2:40",
    "42[\"core.game.state.broadcast\",{\"message\":\"a\"}]\u{1e}3",
    "51:42[\"core.game.state.broadcast\",{\"message\":\"aa\"}]1:3",
    "40/core/game/v1/real-time/guest,\u{1e}40/nowhere,",
    "3",
    "1",
    "bAAAA",
    "\u{1e}",
    "40:40/core/game/v1/real-time/guest?cursor=a",
];
