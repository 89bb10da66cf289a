//! A Socket.IO client without a library: it polls when it is told to, and not otherwise.

use crate::http::{self, Response};

/// What separates the packets of one answer (Engine.IO 4).
const SEPARATOR: char = '\u{1e}';

/// An Engine.IO 4 session over long polling.
pub struct Polling {
    port: u16,
    path: String,
    session: String,
}

impl Polling {
    /// Opens a session on `/socket.io/`.
    pub async fn open(port: u16) -> Self {
        let path = "/socket.io/?EIO=4&transport=polling".to_owned();
        let opened = http::get(port, &path).await.expect("the server answers");
        let (_, rest) = opened.body.split_once("\"sid\":\"").expect("a session id");
        let (session, _) = rest.split_once('"').expect("a session id");
        Self { port, path: format!("{path}&sid={session}"), session: session.to_owned() }
    }

    /// The Engine.IO session id: nobody but this client may ever see it.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Sends one packet, e.g. `40/namespace,{}`.
    pub async fn send(&self, packet: &str) {
        let headers = [("Content-Type", "text/plain;charset=UTF-8")];
        let sent = http::request("POST", self.port, &self.path, &headers, packet).await;
        let sent = sent.expect("the server answers");
        assert_eq!(sent.status, 200, "{packet}: {sent:?}");
    }

    /// Waits for packets as the server sees fit.
    pub async fn try_poll(&self) -> Response {
        http::get(self.port, &self.path).await.expect("the server answers")
    }

    /// Polls, answering pings, until a packet begins like this; returns the packet.
    ///
    /// # Panics
    /// When the session ends before.
    pub async fn await_packet(&self, beginning: &str) -> String {
        loop {
            let polled = self.try_poll().await;
            assert_eq!(polled.status, 200, "waiting for {beginning}: {polled:?}");
            let mut found = None;
            for packet in polled.body.split(SEPARATOR) {
                if packet == "2" {
                    self.send("3").await;
                }
                if packet.starts_with(beginning) {
                    found = Some(packet.to_owned());
                }
            }
            if let Some(found) = found {
                return found;
            }
        }
    }
}
