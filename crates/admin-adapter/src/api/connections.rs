//! Connections: listed, and ended, on whichever node they are.

use game_realtime_application::wire::{FieldFault, rfc3339};
use game_realtime_domain::{Connection, ConnectionId, Namespace, Recipient, UserId};
use http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::{Api, answer::ApiAnswer, audit::Audit, query::Query};

/// How many connections are listed at most.
const MOST: usize = 1000;
const USUAL: usize = 100;

/// Which part of a list is asked for.
struct Page {
    after: Option<ConnectionId>,
    limit: usize,
}

#[derive(Serialize)]
struct Listed<'a> {
    connections: Vec<ListedConnection<'a>>,
    /// What to go on with; `None` if there are no more.
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct ListedConnection<'a> {
    connection_id: String,
    namespace: &'static str,
    user_id: Option<&'a str>,
    node_id: String,
    connected_at: String,
}

#[derive(Serialize)]
struct Ordered {
    status: &'static str,
    /// How many there were.
    connections: u64,
}

impl Page {
    fn take(query: &mut Query) -> Self {
        let after = query.take_with("cursor", |id| {
            id.parse().map(ConnectionId).map_err(|_| "is not one of ours".to_owned())
        });
        Self { after, limit: query.take_limit(MOST).unwrap_or(USUAL) }
    }

    fn answer(&self, listed: &[Connection]) -> ApiAnswer {
        let last = listed.last().filter(|_| listed.len() == self.limit);
        let next_cursor = last.map(|connection| connection.id.to_string());
        let connections = listed.iter().map(ListedConnection::from).collect();
        ApiAnswer::ok(StatusCode::OK, &Listed { connections, next_cursor })
    }
}

impl<'a> From<&'a Connection> for ListedConnection<'a> {
    fn from(connection: &'a Connection) -> Self {
        Self {
            connection_id: connection.id.to_string(),
            namespace: connection.namespace.as_str(),
            user_id: connection.user_id.as_ref().map(UserId::as_str),
            node_id: connection.node_id.to_string(),
            connected_at: rfc3339(connection.connected_at),
        }
    }
}

impl Api {
    pub(super) async fn list_user_connections(
        &self,
        mut query: Query,
        audit: &mut Audit,
    ) -> Result<ApiAnswer, ApiAnswer> {
        let (user_id, page) = (query.take_user_id(), Page::take(&mut query));
        let user_id = query.finish_with("user_id", user_id)?;
        audit.user_id = Some(user_id.clone());
        let listed = self.connections.list_by_user(&user_id, page.after, page.limit);
        let listed = self.within(listed).await?.map_err(|error| audit.failed(&error))?;
        Ok(page.answer(&listed))
    }

    pub(super) async fn list_namespace_connections(
        &self,
        namespace: Namespace,
        mut query: Query,
        audit: &mut Audit,
    ) -> Result<ApiAnswer, ApiAnswer> {
        audit.namespace = Some(namespace.as_str());
        let page = Page::take(&mut query);
        query.finish()?;
        let listed = self.connections.list_by_namespace(namespace, page.after, page.limit);
        let listed = self.within(listed).await?.map_err(|error| audit.failed(&error))?;
        Ok(page.answer(&listed))
    }

    pub(super) async fn disconnect_user(
        &self,
        mut query: Query,
        audit: &mut Audit,
    ) -> Result<ApiAnswer, ApiAnswer> {
        let user_id = query.take_user_id();
        let user_id = query.finish_with("user_id", user_id)?;
        audit.user_id = Some(user_id.clone());
        self.disconnect(&Recipient::User(user_id), audit).await
    }

    pub(super) async fn disconnect_connection(
        &self,
        id: &str,
        query: Query,
        audit: &mut Audit,
    ) -> Result<ApiAnswer, ApiAnswer> {
        query.finish()?;
        let Ok(id) = id.parse::<Uuid>().map(ConnectionId) else {
            let path = "connection_id".to_owned();
            return Err(vec![FieldFault { path, message: "is not a UUID".to_owned() }].into());
        };
        audit.connection_id = Some(id);
        self.disconnect(&Recipient::Connection(id), audit).await
    }

    async fn disconnect(
        &self,
        target: &Recipient,
        audit: &mut Audit,
    ) -> Result<ApiAnswer, ApiAnswer> {
        let given = self.within(self.kicks.give(target)).await?;
        let connections = given.map_err(|error| audit.failed(&error))?;
        audit.connections = Some(connections);
        Ok(ApiAnswer::ok(StatusCode::ACCEPTED, &Ordered { status: "ok", connections }))
    }
}
