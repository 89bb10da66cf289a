//! The operators' API of a node, as a program would call it.

use serde_json::Value;

use crate::{Settings, http};

/// The token that [`Settings::with_api`] configures.
pub const API_TOKEN: &str = "the-token-of-the-tests-0123456789abcdef";

/// What is called.
#[derive(Debug, Clone, Copy)]
pub struct AdminApi {
    port: u16,
}

/// What came back. Everything that the API says is JSON.
#[derive(Debug, Clone)]
pub struct ApiAnswer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub json: Value,
    /// The answer as it came.
    pub raw: http::Response,
}

impl AdminApi {
    /// The API of a node that was started with these settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { port: settings.admin_port() }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// GETs a path.
    pub async fn get(&self, path: &str) -> ApiAnswer {
        self.call("GET", path, None).await
    }

    /// DELETEs a path.
    pub async fn delete(&self, path: &str) -> ApiAnswer {
        self.call("DELETE", path, None).await
    }

    /// Publishes an event. `whose` is the query, without question mark.
    pub async fn publish(&self, event: &str, whose: &str, payload: &Value) -> ApiAnswer {
        let path = format!("/api/v1/events/{event}?{whose}");
        self.call("POST", &path, Some(&payload.to_string())).await
    }

    /// Calls with the token, and with a body of JSON if there is one.
    pub async fn call(&self, method: &str, path: &str, body: Option<&str>) -> ApiAnswer {
        let bearer = format!("Bearer {API_TOKEN}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        self.call_with(method, path, &headers, body.unwrap_or_default()).await
    }

    /// Calls with these headers alone.
    ///
    /// # Panics
    /// When the answer is no JSON that nobody may keep.
    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> ApiAnswer {
        let raw = http::request(method, self.port, path, headers, body).await;
        let raw = raw.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert_eq!(raw.header("content-type"), Some("application/json"), "{raw:?}");
        assert_eq!(raw.header("cache-control"), Some("no-store"), "{raw:?}");
        let json = if method == "HEAD" { Ok(Value::Null) } else { serde_json::from_str(&raw.body) };
        let json = json.unwrap_or_else(|error| panic!("{method} {path}: {error} in {raw:?}"));
        ApiAnswer { status: raw.status, json, raw }
    }
}

impl ApiAnswer {
    /// The error code, if it is a failure.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.json.get("error")?.get("code")?.as_str()
    }
}
