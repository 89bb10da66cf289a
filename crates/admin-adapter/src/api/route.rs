//! Which path and method ask for what.

use game_realtime_domain::{EventType, Namespace};
use http::Method;

/// What can be asked for, as metrics and logs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Describe,
    PublishEvent,
    ListEvents,
    ListUserConnections,
    ListNamespaceConnections,
    DisconnectUser,
    DisconnectConnection,
    /// Nothing that there is.
    Unknown,
}

impl Operation {
    pub(crate) const ALL: [Self; 8] = [
        Self::Describe,
        Self::PublishEvent,
        Self::ListEvents,
        Self::ListUserConnections,
        Self::ListNamespaceConnections,
        Self::DisconnectUser,
        Self::DisconnectConnection,
        Self::Unknown,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::PublishEvent => "publish_event",
            Self::ListEvents => "list_events",
            Self::ListUserConnections => "list_user_connections",
            Self::ListNamespaceConnections => "list_namespace_connections",
            Self::DisconnectUser => "disconnect_user",
            Self::DisconnectConnection => "disconnect_connection",
            Self::Unknown => "unknown",
        }
    }
}

/// A path that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    Description,
    Events(EventType),
    UserConnections,
    NamespaceConnections(Namespace),
    /// With the id as it came.
    Connection(&'a str),
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call<'a> {
    Describe,
    PublishEvent(EventType),
    ListEvents(EventType),
    ListUserConnections,
    ListNamespaceConnections(Namespace),
    DisconnectUser,
    DisconnectConnection(&'a str),
}

impl<'a> Route<'a> {
    pub(crate) fn find(path: &'a str) -> Option<Self> {
        let mut segments = path.strip_prefix("/api/v1/")?.split('/');
        let route = match (segments.next()?, segments.next(), segments.next()) {
            ("openapi.json", None, None) => Self::Description,
            ("events", Some(name), None) => Self::Events(name.parse().ok()?),
            ("connections", None, None) => Self::UserConnections,
            ("connections", Some(id), None) => Self::Connection(id),
            ("namespaces", Some(name), Some("connections")) => {
                Self::NamespaceConnections(name.parse().ok()?)
            }
            _ => return None,
        };
        segments.next().is_none().then_some(route)
    }

    /// What a method asks for here, if it asks for anything.
    pub(crate) fn call(self, method: &Method) -> Option<Call<'a>> {
        match (self, method) {
            (Self::Description, &Method::GET) => Some(Call::Describe),
            (Self::Events(event_type), &Method::GET) => Some(Call::ListEvents(event_type)),
            (Self::Events(event_type), &Method::POST) => Some(Call::PublishEvent(event_type)),
            (Self::UserConnections, &Method::GET) => Some(Call::ListUserConnections),
            (Self::UserConnections, &Method::DELETE) => Some(Call::DisconnectUser),
            (Self::NamespaceConnections(namespace), &Method::GET) => {
                Some(Call::ListNamespaceConnections(namespace))
            }
            (Self::Connection(id), &Method::DELETE) => Some(Call::DisconnectConnection(id)),
            (
                Self::Description
                | Self::Events(_)
                | Self::UserConnections
                | Self::NamespaceConnections(_)
                | Self::Connection(_),
                _,
            ) => None,
        }
    }

    /// The methods that ask for something here.
    pub(crate) const fn allow(self) -> &'static str {
        match self {
            Self::Description | Self::NamespaceConnections(_) => "GET",
            Self::Events(_) => "GET, POST",
            Self::UserConnections => "GET, DELETE",
            Self::Connection(_) => "DELETE",
        }
    }
}

impl Call<'_> {
    pub(crate) const fn operation(self) -> Operation {
        match self {
            Self::Describe => Operation::Describe,
            Self::PublishEvent(_) => Operation::PublishEvent,
            Self::ListEvents(_) => Operation::ListEvents,
            Self::ListUserConnections => Operation::ListUserConnections,
            Self::ListNamespaceConnections(_) => Operation::ListNamespaceConnections,
            Self::DisconnectUser => Operation::DisconnectUser,
            Self::DisconnectConnection(_) => Operation::DisconnectConnection,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_and_method_that_is_described_asks_for_something_and_nothing_else_does() {
        let described = super::super::openapi::described();
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
        for (path, known) in &described {
            let path = path.replace("{namespace}", "guest").replace("{connection_id}", "x");
            let route = Route::find(&path).expect(&path);
            for method in methods {
                let call = route.call(&method.parse().unwrap());
                assert_eq!(call.is_some(), known.contains(method), "{method} {path}");
            }
            let allowed: BTreeSet<_> = route.allow().split(", ").map(str::to_owned).collect();
            assert_eq!(allowed, *known, "{path}");
        }
        assert_eq!(described.len(), 7);
    }

    #[test]
    fn what_looks_like_a_path_is_none() {
        for path in [
            "/api",
            "/api/v1",
            "/api/v1/",
            "/api/v2/connections",
            "/api/v1/connections/",
            "/api/v1/connections/x/y",
            "/api/v1//connections",
            "/api/v1/events",
            "/api/v1/events/core.game.state.unknown",
            "/api/v1/events/core.game.state.broadcast/",
            "/api/v1/namespaces/nowhere/connections",
            "/api/v1/namespaces/guest",
            "/api/v1/openapi.json/x",
        ] {
            // An empty id is one that is malformed.
            let found = Route::find(path).filter(|route| *route != Route::Connection(""));
            assert_eq!(found, None, "{path}");
        }
    }
}
