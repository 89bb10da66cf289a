//! What the endurance test writes into packets and reads out of them: six kinds of events, cursors,
//! answers. Packets are searched, not parsed: the checker must cost less than what it checks.

use game_realtime_loadgen::{
    dialect::{Dialect, Filling, Order, Template},
    stamp::Stamp,
};
use memchr::{memchr, memmem};

use crate::event;

const BASE_PATH: &str = "/core/game/v1/real-time";
/// Characters of a message.
const LENGTH: usize = 80;

/// Who receives an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Everybody in the namespace.
    Broadcast,
    /// The sender and this member.
    Message(u32),
    /// The sender.
    Purchase,
}

/// What an event says: enough to send it again as it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    pub(super) kind: Kind,
    /// Who sends it, its number, and when it was due.
    pub(super) stamp: Stamp,
    pub(super) has_request_id: bool,
}

/// A place in the one order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Position(u64, u32);

impl Position {
    /// The position of `<epoch>:<revision>.<index>`.
    pub(super) fn of(cursor: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(cursor).ok()?;
        let (revision, index) = text.rsplit_once(':')?.1.split_once('.')?;
        Some(Self(revision.parse().ok()?, index.parse().ok()?))
    }
}

/// The templates of all events.
#[derive(Debug)]
pub(super) struct Templates {
    plain: [Template; 3],
    with_request_id: [Template; 3],
}

impl Templates {
    pub(super) fn new() -> Self {
        let all = |request_id: &str| {
            [
                (event::BROADCAST, "\"message\":\"{stamp}{padding}\"".to_owned()),
                (
                    event::SEND_MESSAGE,
                    "\"target_user_id\":\"{target}\",\"text\":\"{stamp}{padding}\"".to_owned(),
                ),
                (event::BUY_GOOD, "\"good_id\":\"{stamp}{padding}\",\"count\":1".to_owned()),
            ]
            .map(|(name, fields)| {
                Template::new(name, &format!("{{{fields}{request_id}}}")).expect("it has a stamp")
            })
        };
        Self { plain: all(""), with_request_id: all(",\"request_id\":\"{stamp}\"") }
    }

    /// Appends the packet of an event. Its number is the number of its answer, too.
    pub(super) fn write(
        &self,
        dialect: &Dialect,
        out: &mut Vec<u8>,
        content: &Content,
        target: &str,
    ) {
        let templates = if content.has_request_id { &self.with_request_id } else { &self.plain };
        let [broadcast, message, purchase] = templates;
        let template = match content.kind {
            Kind::Broadcast => broadcast,
            Kind::Message(_) => message,
            Kind::Purchase => purchase,
        };
        let filling = Filling { stamp: content.stamp, length: LENGTH, target, user: "" };
        dialect.event_packet(out, template, &filling);
    }
}

/// How the gateway is spoken to in one of its namespaces, `private` or `guest`.
pub(super) fn dialect(namespace: &str) -> Dialect {
    let unused = Template::new("", "{stamp}").expect("it has a stamp");
    Dialect {
        path: "/socket.io/".to_owned(),
        namespace: format!("{BASE_PATH}/{namespace}"),
        auth: if namespace == "guest" { "{}" } else { "{\"token\":\"{token}\"}" }.to_owned(),
        ready: Some(event::READY.to_owned()),
        accepted: String::new(),
        broadcast: unused.clone(),
        direct: unused.clone(),
        purchase: unused,
        order: Order::Total,
    }
}

/// What an event was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// It is committed, at this position; perhaps it was before.
    Committed { position: Position, is_duplicate: bool },
    /// It was refused, with this code.
    Refused { code: &'a str, is_retryable: bool },
    /// It is not what the contract says.
    Nonsense,
}

impl<'a> Answer<'a> {
    pub(super) fn read(arguments: &'a [u8]) -> Self {
        let has = |text: &[u8]| memmem::find(arguments, text).is_some();
        if has(b"\"status\":\"ok\"") {
            let position = cursor_in(arguments).and_then(Position::of);
            return position.map_or(Self::Nonsense, |position| Self::Committed {
                position,
                is_duplicate: has(b"\"duplicate\":true"),
            });
        }
        let code = text_field(arguments, b"\"code\":\"");
        match code.and_then(|code| std::str::from_utf8(code).ok()) {
            Some(code) => Self::Refused { code, is_retryable: has(b"\"retryable\":true") },
            None => Self::Nonsense,
        }
    }
}

/// The first cursor in a packet.
pub(super) fn cursor_in(json: &[u8]) -> Option<&[u8]> {
    text_field(json, b"\"cursor\":\"")
}

/// `recovery.status` of a `ready`.
pub(super) fn recovery_in(ready: &[u8]) -> Option<&[u8]> {
    text_field(ready, b"\"recovery\":{\"status\":\"")
}

/// The text that comes after `key`.
fn text_field<'a>(json: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(json, key)? + key.len();
    let rest = json.get(at..)?;
    rest.get(..memchr(b'"', rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_in_the_order_of_the_log() {
        let position = |cursor: &str| Position::of(cursor.as_bytes());
        assert!(position("e:9.2") < position("e:10.0"));
        assert!(position("e:10.0") < position("e:10.1"));
        assert_eq!(position("e:x.1"), None);
    }

    #[test]
    fn answers_are_told_apart() {
        let ok = br#"[{"status":"ok","event":{"id":"i","cursor":"e:7.1"},"duplicate":true}]"#;
        let position = Position(7, 1);
        assert_eq!(Answer::read(ok), Answer::Committed { position, is_duplicate: true });
        let refused = br#"[{"status":"error","error":{"code":"unavailable","retryable":true}}]"#;
        assert_eq!(
            Answer::read(refused),
            Answer::Refused { code: "unavailable", is_retryable: true }
        );
        assert_eq!(Answer::read(b"[]"), Answer::Nonsense);
    }

    #[test]
    fn an_event_can_be_sent_again_as_it_was() {
        let stamp = Stamp { run: 1, event: 2, due: 3 };
        let content = Content { kind: Kind::Message(5), stamp, has_request_id: true };
        let (templates, dialect) = (Templates::new(), dialect("private"));
        let packet = || {
            let mut out = Vec::new();
            templates.write(&dialect, &mut out, &content, "bob");
            String::from_utf8(out).unwrap()
        };
        assert_eq!(packet(), packet());
        assert!(packet().contains(r#""target_user_id":"bob""#), "{}", packet());
        assert!(packet().contains(r#""request_id":"~00000001.00000002."#), "{}", packet());
        assert_eq!(Stamp::find(packet().as_bytes()), Some(stamp));
    }
}
