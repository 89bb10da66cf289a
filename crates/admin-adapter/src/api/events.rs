//! Events: published in the name of a player or of the system, and listed.

use game_realtime_application::wire::{Answer, ErrorCode, count_event, event_body};
use game_realtime_domain::{Author, Cursor, EventType, Namespace, UserId};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Api,
    answer::{ApiAnswer, Refusal},
    audit::Audit,
    query::Query,
};

/// How many events are listed at most: each may be as large as an event can be.
const MOST: usize = 100;
const USUAL: usize = 50;

/// Whose event it is, as the parameters say.
pub(super) struct Behalf {
    user_id: Option<UserId>,
    namespace: Option<Namespace>,
}

impl Behalf {
    pub(super) fn read(event_type: EventType, mut query: Query) -> Result<Self, ApiAnswer> {
        let user_id = query.take_user_id();
        let namespace = match event_type {
            EventType::Broadcast => query.take("namespace"),
            // These are not for a namespace.
            EventType::SendMessage | EventType::BuyGood => None,
        };
        query.finish()?;
        Ok(Self { user_id, namespace })
    }

    /// `None` for what cannot be: a player is no guest.
    fn author(&self) -> Option<Author<'_>> {
        match (&self.user_id, self.namespace) {
            (Some(_), Some(Namespace::Guest)) => None,
            (Some(user_id), Some(Namespace::Private) | None) => Some(Author::User(user_id)),
            (None, namespace) => Some(Author::System(namespace.unwrap_or(Namespace::Private))),
        }
    }
}

/// Whether the body is said to be JSON.
pub(super) fn is_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    match media_type {
        Some(media_type) if media_type.eq_ignore_ascii_case("application/json") => Ok(()),
        Some(_) | None => Err(Refusal::UnsupportedMediaType),
    }
}

#[derive(Serialize)]
struct Listed {
    r#type: &'static str,
    events: Vec<ListedEvent>,
}

#[derive(Serialize)]
struct ListedEvent {
    namespace: &'static str,
    /// As clients receive it.
    event: Box<RawValue>,
}

impl Api {
    pub(super) async fn publish(
        &self,
        event_type: EventType,
        behalf: Behalf,
        body: &[u8],
        audit: &mut Audit,
    ) -> Result<ApiAnswer, ApiAnswer> {
        let name = event_type.as_str();
        audit.event_type = Some(name);
        audit.user_id = behalf.user_id.clone();
        let author = behalf.author().ok_or(ErrorCode::Forbidden)?;
        audit.namespace = Some(author.namespace().as_str());
        let argument: Option<&RawValue> = serde_json::from_slice(body).ok();
        let executed = self.within(self.events.execute(author, name, argument)).await;
        let answer =
            executed.inspect_err(|_| count_event(name, ErrorCode::Unavailable.as_str()))?;
        if let Answer::Committed { appended, .. } = &answer {
            audit.event_id = Some(appended.event_id);
        }
        Ok(ApiAnswer::to_event(&answer))
    }

    pub(super) async fn list_events(
        &self,
        event_type: EventType,
        mut query: Query,
        audit: &mut Audit,
    ) -> Result<ApiAnswer, ApiAnswer> {
        audit.event_type = Some(event_type.as_str());
        let limit = query.take_limit(MOST);
        query.finish()?;
        let listing = self.within(self.log.list(event_type, limit.unwrap_or(USUAL))).await?;
        let listing = listing.map_err(|error| audit.failed(&error))?;
        let events = listing.events.into_iter().map(|event| {
            let cursor = Cursor { epoch: listing.epoch.clone(), position: event.position };
            let body = event_body(&event.event, &cursor.to_string());
            let event_json = RawValue::from_string(body).map_err(|_| ErrorCode::Internal)?;
            Ok(ListedEvent { namespace: event.event.namespace.as_str(), event: event_json })
        });
        let events = events.collect::<Result<_, ErrorCode>>()?;
        Ok(ApiAnswer::ok(StatusCode::OK, &Listed { r#type: event_type.as_str(), events }))
    }
}
