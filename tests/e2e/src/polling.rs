//! A Socket.IO client without a library: it polls when it is told to, and not otherwise.

use crate::http::{self, Response};

/// What separates the packets of one answer (Engine.IO 4).
const SEPARATOR: char = '\u{1e}';

/// An Engine.IO session over long polling.
pub struct Polling {
    port: u16,
    version: u8,
    path: String,
    session: String,
}

impl Polling {
    /// Opens a session on `/socket.io/`.
    pub async fn open(port: u16) -> Self {
        Self::open_version(port, "/socket.io/", 4).await
    }

    /// The same at any path, in version 3 or 4 of Engine.IO.
    pub async fn open_version(port: u16, path: &str, version: u8) -> Self {
        Self::open_with(port, path, version, "").await
    }

    /// The same with more in the query of the first request, e.g. `&cursor=…`.
    pub async fn open_with(port: u16, path: &str, version: u8, query: &str) -> Self {
        let path = format!("{path}?EIO={version}&transport=polling");
        let opened = http::get(port, &format!("{path}{query}")).await.expect("the server answers");
        let (_, rest) = opened.body.split_once("\"sid\":\"").expect("a session id");
        let (session, _) = rest.split_once('"').expect("a session id");
        Self { port, version, path: format!("{path}&sid={session}"), session: session.to_owned() }
    }

    /// The Engine.IO session id: nobody but this client may ever see it.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The path that upgrades the session to a WebSocket.
    #[must_use]
    pub fn upgrade_path(&self) -> String {
        self.path.replace("transport=polling", "transport=websocket")
    }

    /// Sends one packet, e.g. `40/namespace,{}`.
    pub async fn send(&self, packet: &str) {
        let headers = [("Content-Type", "text/plain;charset=UTF-8")];
        let body = match self.version {
            3 => format!("{}:{packet}", packet.encode_utf16().count()),
            _ => packet.to_owned(),
        };
        let sent = http::request("POST", self.port, &self.path, &headers, &body).await;
        let sent = sent.expect("the server answers");
        assert_eq!(sent.status, 200, "{packet}: {sent:?}");
    }

    /// Waits for packets as the server sees fit.
    pub async fn try_poll(&self) -> Response {
        http::get(self.port, &self.path).await.expect("the server answers")
    }

    /// Polls once, answering pings; the packets that came.
    ///
    /// # Panics
    /// When the session has ended.
    pub async fn poll(&self) -> Vec<String> {
        let polled = self.try_poll().await;
        assert_eq!(polled.status, 200, "{polled:?}");
        let packets = self.packets(&polled.body);
        if packets.iter().any(|packet| packet == "2") {
            self.send("3").await;
        }
        packets
    }

    /// The packets of an answer.
    ///
    /// # Panics
    /// When it is malformed.
    #[must_use]
    pub fn packets(&self, payload: &str) -> Vec<String> {
        if self.version != 3 {
            return payload.split(SEPARATOR).map(str::to_owned).collect();
        }
        let (mut packets, mut rest) = (Vec::new(), payload);
        while let Some((length, after)) = rest.split_once(':') {
            let length: usize = length.parse().expect("a length");
            let packet =
                String::from_utf16_lossy(&after.encode_utf16().take(length).collect::<Vec<_>>());
            rest = after.get(packet.len()..).expect("as long as it says");
            packets.push(packet);
        }
        packets
    }

    /// Polls, answering pings, until a packet begins like this; returns the packet.
    ///
    /// # Panics
    /// When the session ends before.
    pub async fn await_packet(&self, beginning: &str) -> String {
        loop {
            if let Some(found) = self.poll().await.into_iter().find(|it| it.starts_with(beginning))
            {
                return found;
            }
        }
    }
}
