//! The API for operators and for a game's own servers: publish and list events, list and end
//! connections. It is not there until a token is configured.
//!
//! A request is authorised, routed ([`Route`]), carried out by the same use cases and ports that
//! serve clients, answered in the same words, and noted in the log ([`Audit`]).

mod answer;
mod audit;
mod body;
mod connections;
mod events;
mod openapi;
mod query;
mod route;
mod token;

use std::{net::IpAddr, sync::Arc, time::Duration};

use game_realtime_application::{
    ports::{ConnectionRepository, EventRepository, KickOrders},
    wire::{ErrorCode, Events},
};
use http::{Request, Response, request::Parts};
use http_body_util::Full;
use hyper::body::{Body, Bytes};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::{
    answer::{ApiAnswer, Refusal},
    audit::Audit,
    events::{Behalf, is_json},
    query::Query,
    route::{Call, Route},
};
use crate::routes::{JSON, response};

pub(crate) use body::TIME_LIMIT as BODY_TIME_LIMIT;
pub(crate) use route::Operation;
pub use token::{ApiToken, WeakToken};

/// What the API needs.
pub struct ApiParts {
    /// What opens it.
    pub token: ApiToken,
    /// Publishes events.
    pub events: Arc<Events>,
    /// The events there are.
    pub log: Arc<dyn EventRepository>,
    /// The connections there are.
    pub connections: Arc<dyn ConnectionRepository>,
    /// Ends connections.
    pub kicks: Arc<dyn KickOrders>,
    /// The largest body, in bytes.
    pub payload_bytes: usize,
    /// How long the store may take for an answer.
    pub store_timeout: Duration,
    /// Cancelled when the node begins to shut down.
    pub draining: CancellationToken,
}

/// The API of a node.
pub struct Api {
    token: ApiToken,
    events: Arc<Events>,
    log: Arc<dyn EventRepository>,
    connections: Arc<dyn ConnectionRepository>,
    kicks: Arc<dyn KickOrders>,
    payload_bytes: usize,
    store_timeout: Duration,
    draining: CancellationToken,
    description: Bytes,
}

impl Api {
    /// The API on a node's parts.
    #[must_use]
    pub fn new(parts: ApiParts) -> Self {
        let ApiParts {
            token,
            events,
            log,
            connections,
            kicks,
            payload_bytes,
            store_timeout,
            draining,
        } = parts;
        let description = openapi::description(&events.limits);
        Self {
            token,
            events,
            log,
            connections,
            kicks,
            payload_bytes,
            store_timeout,
            draining,
            description,
        }
    }

    /// Whether a path is the API's to answer.
    pub(crate) fn is_at(path: &str) -> bool {
        path == "/api" || path.starts_with("/api/")
    }

    /// How long an answer may take once the request is there.
    pub(crate) fn patience(&self) -> Duration {
        BODY_TIME_LIMIT + self.store_timeout
    }

    pub(crate) async fn answer<B>(&self, request: Request<B>, peer: IpAddr) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (parts, mut body) = request.into_parts();
        let mut audit = Audit::begin(peer);
        let answer = self.carry_out(&parts, &mut body, &mut audit).await;
        let answer = answer.unwrap_or_else(|refused| refused);
        body::discard(&mut body, &parts.headers).await;
        audit.end(&answer);
        let ApiAnswer { status, body, header, .. } = answer;
        let mut answer = response(status, JSON, body);
        answer.headers_mut().extend(header);
        answer
    }

    async fn carry_out<B>(
        &self,
        parts: &Parts,
        body: &mut B,
        audit: &mut Audit,
    ) -> Result<ApiAnswer, ApiAnswer>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let route = Route::find(parts.uri.path());
        let call = route.and_then(|route| route.call(&parts.method));
        audit.operation = call.map_or(Operation::Unknown, Call::operation);
        if !self.token.is_in(&parts.headers) {
            return Err(ErrorCode::Unauthenticated.into());
        }
        let route = route.ok_or(Refusal::NotFound)?;
        let call = call.ok_or(Refusal::MethodNotAllowed(route.allow()))?;
        if self.draining.is_cancelled() {
            return Err(ErrorCode::Unavailable.into());
        }
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        match call {
            Call::Describe => {
                query.finish()?;
                Ok(ApiAnswer::description(&self.description))
            }
            Call::PublishEvent(event_type) => {
                let behalf = Behalf::read(event_type, query)?;
                is_json(&parts.headers)?;
                let body = body::read(body, self.payload_bytes).await?;
                self.publish(event_type, behalf, &body, audit).await
            }
            Call::ListEvents(event_type) => self.list_events(event_type, query, audit).await,
            Call::ListUserConnections => self.list_user_connections(query, audit).await,
            Call::ListNamespaceConnections(namespace) => {
                self.list_namespace_connections(namespace, query, audit).await
            }
            Call::DisconnectUser => self.disconnect_user(query, audit).await,
            Call::DisconnectConnection(id) => self.disconnect_connection(id, query, audit).await,
        }
    }

    /// Waits for the store, but not for ever.
    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, ApiAnswer> {
        timeout(self.store_timeout, work).await.map_err(|_| ErrorCode::Unavailable.into())
    }
}
