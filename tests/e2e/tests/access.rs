//! Who gets in, where, and what a refusal looks like.

use game_realtime_e2e::{
    ConnectOptions, Driver, Form, Library, Namespace, Server, Settings, Store, event, get, mint,
    mint_expired, mint_with_secret, shape,
};
use serde_json::json;

const LIBRARIES: [Library; 4] =
    [Library::JavaScript4, Library::JavaScript3, Library::JavaScript2, Library::Python];

async fn server() -> Server {
    Server::start(&Settings::new(&Store::Memory)).await
}

#[tokio::test]
async fn private_without_a_good_token_is_refused_as_unauthenticated() {
    let server = server().await;
    let tokens = [
        None,
        Some(String::new()),
        Some("not a token".to_owned()),
        Some(mint_expired("alice")),
        Some(mint_with_secret("alice", "a secret of somebody else, long enough")),
    ];
    for library in LIBRARIES {
        let driver = Driver::start(library);
        for form in [Form::Path, Form::Namespace] {
            for token in &tokens {
                let mut options = ConnectOptions::new(&server.url(), Namespace::Private).by(form);
                if let Some(token) = token {
                    options = options.with("token", token);
                }
                let refused = driver.connect(&options).await.err();
                let message = refused.map(|refused| refused.message);
                let case = format!("{library:?} {form:?} {token:?}");
                assert_eq!(message.as_deref(), Some("unauthenticated"), "{case}");
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_token_that_is_no_text_is_refused_as_unauthenticated() {
    let server = server().await;
    let driver = Driver::start(Library::JavaScript4);
    for auth in [json!({"token": 7}), json!({"token": null}), json!({"token": ["a"]})] {
        let options = ConnectOptions::new(&server.url(), Namespace::Private).with("auth", &auth);
        let refused = driver.connect(&options).await.err().map(|refused| refused.message);
        assert_eq!(refused.as_deref(), Some("unauthenticated"), "{auth}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_authorization_header_identifies_where_there_is_no_auth_payload() {
    let server = server().await;
    for library in [Library::JavaScript4, Library::JavaScript3, Library::Python] {
        let driver = Driver::start(library);
        let headers = json!({"Authorization": format!("Bearer {}", mint("alice"))});
        let options =
            ConnectOptions::new(&server.url(), Namespace::Private).with("headers", headers);
        let client = driver.connect(&options).await.unwrap();
        shape::assert_ready(client.ready(), Namespace::Private, Some("alice"), "fresh");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_token_in_the_query_string_is_never_read() {
    let server = server().await;
    for library in LIBRARIES {
        let driver = Driver::start(library);
        for form in [Form::Path, Form::Namespace] {
            let query = json!({"token": mint("alice"), "auth": mint("alice")});
            let options = ConnectOptions::new(&server.url(), Namespace::Private)
                .by(form)
                .with("query", query);
            let refused = driver.connect(&options).await.err().map(|refused| refused.message);
            assert_eq!(refused.as_deref(), Some("unauthenticated"), "{library:?} {form:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_guest_with_a_token_stays_a_guest() {
    let server = server().await;
    for library in LIBRARIES {
        let driver = Driver::start(library);
        for token in [mint("alice"), mint_expired("alice"), "not a token".to_owned()] {
            let options = ConnectOptions::guest(&server.url()).with("token", token);
            let client = driver.connect(&options).await.unwrap();
            shape::assert_ready(client.ready(), Namespace::Guest, None, "fresh");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_namespaces_do_not_hear_each_other() {
    let server = server().await;
    let driver = Driver::start(Library::JavaScript4);
    let alice = ConnectOptions::player(&server.url(), &mint("alice")).by(Form::Path);
    let alice = driver.connect(&alice).await.unwrap();
    let guest = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
    for (speaker, message) in [(&alice, "to players"), (&guest, "to guests")] {
        let ack = speaker.emit(event::BROADCAST, json!({"message": message})).await;
        shape::assert_committed(&ack, event::BROADCAST, false);
    }
    // One order of events: who has the later event would have the earlier one too.
    let ack = alice.emit(event::BROADCAST, json!({"message": "the last"})).await;
    shape::assert_committed(&ack, event::BROADCAST, false);
    let heard = alice.await_events(event::BROADCAST, 2).await;
    let messages: Vec<_> = heard.iter().map(|event| &event.payload()["message"]).collect();
    assert_eq!(messages, ["to players", "the last"]);
    let heard = guest.await_events(event::BROADCAST, 1).await;
    assert_eq!(heard[0].payload()["message"], "to guests");
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_namespace_is_a_connect_error() {
    let server = server().await;
    for library in LIBRARIES {
        let driver = Driver::start(library);
        for namespace in ["nobody", "private/", "privat", "PRIVATE", "private/x"] {
            let options = ConnectOptions::player(&server.url(), &mint("alice"))
                .with("namespace", namespace)
                .with("timeoutMs", 5000);
            let refused = driver.connect(&options).await.err();
            let refused = refused.unwrap_or_else(|| panic!("{library:?} {namespace}"));
            let told = !matches!(&*refused.message, "timeout" | "None");
            assert!(told, "{library:?} {namespace}: {refused:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn any_other_path_is_not_found() {
    let server = server().await;
    let base = "/core/game/v1/real-time";
    for path in [
        "/".to_owned(),
        "/index.html".to_owned(),
        "/socket.io.js".to_owned(),
        "/socket.io/x/".to_owned(),
        "/healthz".to_owned(),
        "/readyz".to_owned(),
        "/metrics".to_owned(),
        base.to_owned(),
        format!("{base}/"),
        format!("{base}/nobody"),
        format!("{base}/privat"),
        format!("{base}/private/x"),
        format!("{base}/private//"),
        format!("{base}/../real-time/private/"),
        format!("//{base}/private/"),
    ] {
        let response = get(server.port(), &format!("{path}?EIO=4&transport=polling")).await;
        let response = response.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(response.status, 404, "{path}: {response:?}");
    }
    for path in ["/socket.io", "/socket.io/"]
        .map(str::to_owned)
        .into_iter()
        .chain(["private", "private/", "guest", "guest/"].map(|end| format!("{base}/{end}")))
    {
        let response = get(server.port(), &format!("{path}?EIO=4&transport=polling")).await;
        assert_eq!(response.unwrap().status, 200, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_id_is_not_the_session_id() {
    let server = server().await;
    let driver = Driver::start(Library::JavaScript4);
    let client = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
    let id = client.ready_text("connection_id");
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={id}");
    let response = get(server.port(), &path).await.unwrap();
    assert_eq!(response.status, 400, "{response:?}");
    server.stop().await;
}
