//! How a server wants to be spoken to: paths, names of events, forms of payloads and answers.

use crate::stamp::{self, Stamp};

/// The names and forms that differ from server to server.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// The path of Engine.IO.
    pub path: String,
    /// The Socket.IO namespace, `/` for the default one.
    pub namespace: String,
    /// The `auth` payload, JSON, with `{token}` and `{user}`; empty for none.
    pub auth: String,
    /// The event after which a connection is ready; `None`: once it has joined.
    pub ready: Option<String>,
    /// What an answer contains if the event was taken; empty: every answer says so.
    pub accepted: String,
    /// To everybody.
    pub broadcast: Template,
    /// To one user and the sender.
    pub direct: Template,
    /// To the sender alone.
    pub purchase: Template,
    /// What is promised of the order of deliveries.
    pub order: Order,
}

/// What a server promises of the order of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    /// Everybody receives the events of a namespace, or of a user, in one and the same order
    Total,
    /// The events of one sender arrive in the order sent
    Sender,
    /// Nothing
    None,
}

/// An event's name and payload. In the payload `{stamp}` marks the event, `{padding}` fills it up to
/// the wanted length, `{target}` and `{user}` name who it is for and who sends it.
#[derive(Debug, Clone)]
pub struct Template {
    /// The name.
    pub event: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Stamp,
    Padding,
    Target,
    User,
}

/// A template without the mark by which deliveries are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload has no {{stamp}}")]
pub struct NoStamp;

/// What fills a template.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// The mark.
    pub stamp: Stamp,
    /// Stamp and padding together have this many characters, or just the stamp if it is longer.
    pub length: usize,
    /// Who it is for.
    pub target: &'a str,
    /// Who sends it.
    pub user: &'a str,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When it has no stamp.
    pub fn new(event: &str, payload: &str) -> Result<Self, NoStamp> {
        const PLACES: [(&str, Part); 4] = [
            ("{stamp}", Part::Stamp),
            ("{padding}", Part::Padding),
            ("{target}", Part::Target),
            ("{user}", Part::User),
        ];
        let (mut parts, mut rest) = (Vec::new(), payload);
        let first = |rest: &str| {
            let found = PLACES.iter().filter_map(|place| Some((rest.find(place.0)?, place)));
            found.min_by_key(|(at, _)| *at)
        };
        while let Some((at, (name, part))) = first(rest) {
            let (before, after) = rest.split_at(at);
            parts.extend([Part::Text(before.to_owned()), part.clone()]);
            rest = after.strip_prefix(name).unwrap_or_default();
        }
        parts.push(Part::Text(rest.to_owned()));
        if !parts.contains(&Part::Stamp) {
            return Err(NoStamp);
        }
        Ok(Self { event: event.to_owned(), parts })
    }

    /// Appends the payload.
    fn fill(&self, out: &mut Vec<u8>, filling: &Filling<'_>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend(text.as_bytes()),
                Part::Stamp => filling.stamp.write(out),
                Part::Padding => {
                    let padding = filling.length.saturating_sub(stamp::LENGTH);
                    out.resize(out.len() + padding, b'm');
                }
                Part::Target => out.extend(filling.target.as_bytes()),
                Part::User => out.extend(filling.user.as_bytes()),
            }
        }
    }
}

impl Dialect {
    /// Appends the packet of an event that is to be answered with its own number.
    pub fn event_packet(&self, out: &mut Vec<u8>, template: &Template, filling: &Filling<'_>) {
        out.extend(b"42");
        self.append_namespace(out);
        out.extend(filling.stamp.event.to_string().as_bytes());
        out.extend(b"[\"");
        out.extend(template.event.as_bytes());
        out.extend(b"\",");
        template.fill(out, filling);
        out.push(b']');
    }

    /// The packet that joins the namespace, as a user, perhaps where they have been before.
    #[must_use]
    pub fn join_packet(&self, user: &str, token: &str, cursor: &[u8]) -> Vec<u8> {
        let mut packet = b"40".to_vec();
        self.append_namespace(&mut packet);
        let mut auth = self.auth.replace("{token}", token).replace("{user}", user);
        if let Ok(cursor @ [_, ..]) = std::str::from_utf8(cursor).map(str::as_bytes) {
            let cursor = format!("\"cursor\":\"{}\"}}", String::from_utf8_lossy(cursor));
            auth = match auth.trim_end().strip_suffix('}') {
                None => format!("{{{cursor}"),
                Some(fields) if fields.ends_with('{') => format!("{fields}{cursor}"),
                Some(fields) => format!("{fields},{cursor}"),
            };
        }
        packet.extend(auth.as_bytes());
        packet
    }

    /// The packet that leaves the namespace.
    #[must_use]
    pub fn leave_packet(&self) -> Vec<u8> {
        let mut packet = b"41".to_vec();
        self.append_namespace(&mut packet);
        packet
    }

    fn append_namespace(&self, out: &mut Vec<u8>) {
        if self.namespace != "/" {
            out.extend(self.namespace.as_bytes());
            out.push(b',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(namespace: &str, auth: &str) -> Dialect {
        let template =
            Template::new("say", r#"{"to":"{target}","text":"{stamp}{padding}"}"#).unwrap();
        Dialect {
            path: "/socket.io/".to_owned(),
            namespace: namespace.to_owned(),
            auth: auth.to_owned(),
            ready: None,
            accepted: String::new(),
            broadcast: template.clone(),
            direct: template.clone(),
            purchase: template,
            order: Order::None,
        }
    }

    #[test]
    fn templates_are_filled_in() {
        let dialect = dialect("/game", "");
        let stamp = Stamp { run: 1, event: 7, due: 2 };
        let filling = Filling { stamp, length: stamp::LENGTH + 3, target: "bob", user: "" };
        let mut packet = Vec::new();
        dialect.event_packet(&mut packet, &dialect.direct, &filling);
        assert_eq!(
            String::from_utf8(packet).unwrap(),
            r#"42/game,7["say",{"to":"bob","text":"~00000001.00000007.000000000002~mmm"}]"#
        );
        assert_eq!(Template::new("say", "{}").err(), Some(NoStamp));
    }

    #[test]
    fn a_cursor_goes_into_the_auth_payload() {
        let join = |auth, cursor| {
            String::from_utf8(dialect("/", auth).join_packet("bob", "t", cursor)).unwrap()
        };
        assert_eq!(join("", b""), "40");
        assert_eq!(join("", b"c"), r#"40{"cursor":"c"}"#);
        assert_eq!(join("{}", b"c"), r#"40{"cursor":"c"}"#);
        assert_eq!(join(r#"{"token":"{token}"}"#, b""), r#"40{"token":"t"}"#);
        assert_eq!(join(r#"{"as":"{user}"}"#, b"c"), r#"40{"as":"bob","cursor":"c"}"#);
    }
}
