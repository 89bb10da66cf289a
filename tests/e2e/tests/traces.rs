//! Traces: the spans of one event from its sender to its recipients on all nodes, as a collector
//! gets them; and that a collector which is slow, deaf or gone is felt by nobody.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests may fail")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::join_all;
use game_realtime_e2e::{
    Certificates, Client, Collector, ConnectOptions, Driver, Etcd, Library, PATIENCE, SECRET,
    Server, Settings, Store, TracedSpan, event, free_port, mint, shape,
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout},
};

/// What somebody says; no other part of a span looks like it.
const TEXT: &str = "zanzibarquux";
const ALICE: &str = "alice-vermicelli";
const BOB: &str = "bob-tagliatelle";
const REQUEST: &str = "request-orecchiette";

const POLL: Duration = Duration::from_millis(20);

const RECEIVE: &str = "socketio.event.receive";
const PUBLISH: &str = "application.event.publish";
const APPEND: &str = "etcd.event.append";
const COMMIT: &str = "etcd.transaction.commit";
const DELIVER: &str = "delivery.event.deliver";

/// A remote parent is told by these flags: sampled, known whether it is remote, it is.
const LOCAL_PARENT: u32 = 0x101;
const REMOTE_PARENT: u32 = 0x301;

fn traced(store: &Store, endpoint: &str, ratio: &str) -> Settings {
    Settings::new(store)
        .with("telemetry.traces.endpoint", endpoint)
        .with_toml("telemetry.traces.sampling_ratio", ratio)
        .with("telemetry.traces.batch_delay", "50ms")
}

/// The id under which a node has begun.
fn node_id(server: &Server) -> String {
    let log = server.log();
    let line = log.lines().find(|line| line.contains("\"listening\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    line.get("node.id").and_then(Value::as_str).unwrap().to_owned()
}

async fn player(driver: &Driver, server: &Server, token: &str) -> Client {
    driver.connect(&ConnectOptions::player(&server.url(), token)).await.unwrap()
}

/// How many spans had this outcome, as the node counts them.
async fn spans(server: &Server, outcome: &str) -> u64 {
    let metrics = server.admin("/metrics").await.unwrap().body;
    let name = format!("game_realtime_trace_spans_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(name.as_str()));
    line.unwrap().parse().unwrap()
}

async fn send(client: &Client, event_type: &str, payload: Value) -> String {
    let ack = client.emit(event_type, payload).await;
    shape::assert_committed(&ack, event_type, false);
    ack.pointer("/event/id").and_then(Value::as_str).unwrap().to_owned()
}

/// The spans of the trace in which an event was published.
fn trace_of(spans: &[TracedSpan], event_id: &str) -> Vec<TracedSpan> {
    let is_of = |span: &&TracedSpan| {
        span.attributes.get("event.id").and_then(Value::as_str) == Some(event_id)
    };
    let traces: BTreeSet<_> =
        spans.iter().filter(is_of).map(|span| span.trace_id.clone()).collect();
    assert!(traces.len() <= 1, "one event, one trace: {traces:?}");
    spans.iter().filter(|span| traces.contains(&span.trace_id)).cloned().collect()
}

fn only<'a>(spans: &'a [TracedSpan], name: &str) -> &'a TracedSpan {
    let mut named = spans.iter().filter(|span| span.name == name);
    let span = named.next().unwrap_or_else(|| panic!("no {name} in {spans:#?}"));
    assert!(named.next().is_none(), "more than one {name} in {spans:#?}");
    span
}

#[tokio::test]
async fn one_send_is_one_trace_from_the_sender_to_the_recipients_on_all_nodes() {
    let (collector, etcd) = (Collector::start().await, Etcd::start().await);
    let store = Store::Etcd { endpoint: etcd.endpoint(), prefix: "/e2e/traces".to_owned() };
    // The node that takes an event in decides; the others follow.
    let settings = ["1", "0", "0.0"].map(|ratio| traced(&store, collector.endpoint(), ratio));
    let servers = join_all(settings.iter().map(Server::start)).await;
    let [first, second, third] = servers.as_slice() else { panic!("three nodes") };
    let driver = Driver::start(Library::JavaScript4);
    let token = mint(ALICE);
    let alice = player(&driver, first, &token).await;
    let bobs =
        [player(&driver, second, &mint(BOB)).await, player(&driver, second, &mint(BOB)).await];

    let said = send(&alice, event::BROADCAST, json!({"message": TEXT})).await;
    let text = json!({"target_user_id": BOB, "text": TEXT, "request_id": REQUEST});
    let told = send(&alice, event::SEND_MESSAGE, text.clone()).await;
    let repeated = alice.emit(event::SEND_MESSAGE, text).await;
    shape::assert_committed(&repeated, event::SEND_MESSAGE, true);
    let unsampled = send(&bobs[0], event::BROADCAST, json!({"message": TEXT})).await;
    for client in [&alice, &bobs[0], &bobs[1]] {
        client.await_domain_events(3).await;
    }

    let nodes = [node_id(first), node_id(second), node_id(third)];
    for (event_id, event_type) in [(&said, event::BROADCAST), (&told, event::SEND_MESSAGE)] {
        let spans = collector
            .await_spans(|spans| {
                let trace = trace_of(spans, event_id);
                // The commit is a trace of its own.
                (trace.len() == 6 && spans.iter().any(|span| is_linked(&trace, span)))
                    .then(|| (trace, spans.to_vec()))
            })
            .await;
        assert_trace(&spans.0, &spans.1, &nodes, event_type);
    }
    // A repeat is published, appended nowhere, and delivered to nobody.
    let repeat = collector
        .await_spans(|spans| {
            let found = spans.iter().find(|span| {
                span.name == RECEIVE && span.attributes.get("outcome") == Some(&json!("duplicate"))
            })?;
            let trace: Vec<_> =
                spans.iter().filter(|span| span.trace_id == found.trace_id).cloned().collect();
            (trace.len() == 3).then_some(trace)
        })
        .await;
    assert_eq!(only(&repeat, PUBLISH).attributes.get("event.duplicate"), Some(&json!(true)));

    let records = etcd.read("/e2e/traces/log/").await;
    let traced: Vec<_> = records.iter().filter(|raw| raw.value.contains("traceparent")).collect();
    assert_eq!(traced.len(), 2, "{records:?}");
    assert!(!traced.iter().any(|raw| raw.value.contains(&unsampled)));
    for server in servers {
        server.stop().await;
    }
    assert_eq!(trace_of(&collector.spans(), &unsampled).len(), 0);
    let raw = collector.raw();
    assert!(raw.contains(&said), "ids can be found");
    for secret in [TEXT, ALICE, BOB, SECRET, &token, REQUEST] {
        assert!(!raw.contains(secret), "{secret} was exported");
    }
}

/// Whether spans have a link to this one.
fn is_linked(trace: &[TracedSpan], span: &TracedSpan) -> bool {
    let link = (span.trace_id.clone(), span.span_id.clone());
    trace.iter().any(|other| other.links.contains(&link))
}

fn assert_trace(trace: &[TracedSpan], all: &[TracedSpan], nodes: &[String; 3], event_type: &str) {
    let [receive, publish, append] = [RECEIVE, PUBLISH, APPEND].map(|name| only(trace, name));
    let delivers: Vec<_> = trace.iter().filter(|span| span.name == DELIVER).collect();
    assert_eq!(
        (&*receive.parent, &publish.parent, &append.parent),
        ("", &receive.span_id, &publish.span_id)
    );
    for (span, kind) in [
        (receive, "SPAN_KIND_SERVER"),
        (publish, "SPAN_KIND_INTERNAL"),
        (append, "SPAN_KIND_PRODUCER"),
    ] {
        assert_eq!((span.node(), &*span.kind, span.flags), (&*nodes[0], kind, LOCAL_PARENT));
    }
    let mut recipients = BTreeMap::new();
    for deliver in &delivers {
        assert_eq!(deliver.parent, append.span_id, "{deliver:?}");
        assert_eq!((&*deliver.kind, deliver.flags), ("SPAN_KIND_CONSUMER", REMOTE_PARENT));
        assert_eq!(deliver.text("event.id"), publish.text("event.id"));
        assert_eq!(deliver.text("event.type"), event_type);
        assert_eq!(deliver.number("delivery.behind"), 0);
        recipients.insert(deliver.node(), deliver.number("delivery.recipients"));
    }
    let expected = nodes.iter().map(String::as_str).zip([1, 2, 0]).collect();
    assert_eq!(recipients, expected, "one span for each node, with its recipients");

    assert_eq!(receive.text("outcome"), "committed");
    assert_eq!(receive.text("event.type"), event_type);
    assert_eq!(receive.text("namespace"), "private");
    assert_eq!(publish.attributes.get("event.duplicate"), Some(&json!(false)));
    let commit = only(
        &all.iter().filter(|span| is_linked(trace, span)).cloned().collect::<Vec<_>>(),
        COMMIT,
    )
    .clone();
    assert_eq!((&*commit.parent, commit.node()), ("", &*nodes[0]));
    assert_ne!(commit.trace_id, append.trace_id);
    assert!(commit.number("transaction.writes") >= 1);
    assert!(append.number("etcd.revision") > 1);
    for span in trace.iter().chain([&commit]) {
        assert_eq!(span.failure, None, "{span:?}");
        assert!(span.start > 1_577_836_800_000_000_000 && span.start <= span.end, "{span:?}");
        assert_eq!(span.resource.get("service.name"), Some(&json!("game-realtime")));
        assert_eq!(span.resource.get("service.instance.id"), span.resource.get("node.id"));
        assert_eq!(span.scope, "game-realtime-otlp-adapter");
    }
    // One machine, one clock: who waits for another ends after it, within what clocks differ by.
    const SLACK: u64 = 2_000_000;
    for (outer, inner) in [(receive, publish), (publish, append), (append, &commit)] {
        assert!(outer.start <= inner.start + SLACK, "{outer:?} {inner:?}");
        assert!(inner.end <= outer.end + SLACK, "{outer:?} {inner:?}");
    }
}

#[tokio::test]
async fn what_is_not_sampled_is_not_traced_and_without_an_endpoint_nothing_is_connected() {
    let collector = Collector::start().await;
    let driver = Driver::start(Library::JavaScript4);
    for (ratio, expected, connections) in [(Some("1"), 50, 1), (Some("0"), 0, 0), (None, 0, 0)] {
        let settings = match ratio {
            Some(ratio) => traced(&Store::Memory, collector.endpoint(), ratio),
            None => {
                Settings::new(&Store::Memory).with_toml("telemetry.traces.sampling_ratio", "1.0")
            }
        };
        let server = Server::start(&settings).await;
        let guest = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
        for _ in 0..10 {
            send(&guest, event::BROADCAST, json!({"message": TEXT})).await;
        }
        guest.await_domain_events(10).await;
        if expected > 0 {
            let exported = async { while spans(&server, "exported").await < expected {} };
            timeout(PATIENCE, exported).await.unwrap();
        }
        // Everything else that the node talks to has come to it.
        assert_eq!(server.outgoing_connections(), connections, "ratio {ratio:?}");
        assert_eq!(spans(&server, "exported").await, expected, "ratio {ratio:?}");
        server.stop().await;
        assert_eq!(collector.spans().len(), 50, "ratio {ratio:?}");
    }
    let names = |name: &str| collector.spans().iter().filter(|span| span.name == name).count();
    assert_eq!(names("embedded.event.append"), 10);
    assert_eq!(names("embedded.transaction.commit"), 10);
    assert_eq!(names(DELIVER), 10);
}

#[tokio::test]
async fn a_collector_that_is_gone_deaf_or_unwilling_is_felt_by_nobody() {
    const EVENTS: usize = 200;
    // Far longer than any answer may take, and than the drain has time.
    const EXPORT_TIMEOUT: Duration = Duration::from_secs(20);
    let gone = format!("http://127.0.0.1:{}", free_port());
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unwilling = Collector::start_refusing("INVALID_ARGUMENT").await;
    let driver = Driver::start(Library::JavaScript4);
    for endpoint in
        [gone, format!("http://{}", deaf.local_addr().unwrap()), unwilling.endpoint().to_owned()]
    {
        let settings = traced(&Store::Memory, &endpoint, "1")
            .with("telemetry.traces.export_timeout", &format!("{}s", EXPORT_TIMEOUT.as_secs()))
            .with_toml("telemetry.traces.queue_spans", "32")
            .with_toml("telemetry.traces.batch_spans", "8");
        let mut server = Server::start(&settings).await;
        let guest = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
        let started = Instant::now();
        let sends = (0..EVENTS).map(|_| send(&guest, event::BROADCAST, json!({"message": TEXT})));
        join_all(sends).await;
        guest.await_domain_events(EVENTS).await;
        assert!(started.elapsed() < EXPORT_TIMEOUT, "{endpoint}: {:?}", started.elapsed());
        let lost = async {
            while spans(&server, "dropped").await + spans(&server, "failed").await < 100 {}
        };
        timeout(PATIENCE, lost).await.unwrap();
        assert_eq!(spans(&server, "exported").await, 0, "{endpoint}");
        server.terminate();
        let stopped = Instant::now();
        assert_eq!(server.ended().await.code(), Some(0));
        assert!(stopped.elapsed() < Duration::from_secs(6), "{endpoint}: {:?}", stopped.elapsed());
        let log = server.log();
        let told = |message: &str| log.lines().filter(|line| line.contains(message)).count();
        assert!(told("spans are not exported") <= 1, "{log}");
        assert!(told("spans are dropped") <= 1, "{log}");
        assert!(
            told("spans are not exported") + told("last spans are not exported") > 0,
            "{endpoint}: {log}"
        );
    }
}

#[tokio::test]
async fn a_node_that_goes_exports_its_last_spans() {
    let collector = Collector::start().await;
    let settings = traced(&Store::Memory, collector.endpoint(), "1")
        .with("telemetry.traces.batch_delay", "1h")
        .with("telemetry.traces.service_name", "lobby")
        .with("telemetry.traces.service_instance", "lobby-7");
    let server = Server::start(&settings).await;
    let node = node_id(&server);
    let driver = Driver::start(Library::JavaScript4);
    let guest = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
    let sent = send(&guest, event::BROADCAST, json!({"message": TEXT})).await;
    guest.await_domain_events(1).await;
    assert!(collector.spans().is_empty());
    server.stop().await;
    let trace = collector.await_spans(|spans| Some(trace_of(spans, &sent))).await;
    let names: BTreeSet<_> = trace.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from([RECEIVE, PUBLISH, "embedded.event.append", DELIVER]));
    for span in &trace {
        assert_eq!(span.node(), node);
        assert_eq!(span.resource.get("service.name"), Some(&json!("lobby")));
        assert_eq!(span.resource.get("service.instance.id"), Some(&json!("lobby-7")));
    }
}

#[tokio::test]
async fn a_collector_with_tls_is_sent_spans_if_its_authority_is_trusted() {
    let certificates = Certificates::new("nobody");
    let collector = Collector::start_with_tls(&certificates).await;
    let settings = || traced(&Store::Memory, collector.endpoint(), "1");
    let stranger = Server::start(&settings()).await;
    let trusting = Server::start(&settings().with_authorities(&certificates.ca())).await;
    let driver = Driver::start(Library::JavaScript4);
    let mut said = Vec::new();
    for server in [&stranger, &trusting] {
        let alice = player(&driver, server, &mint(ALICE)).await;
        said.push(send(&alice, event::BROADCAST, json!({"message": TEXT})).await);
    }
    collector.await_spans(|spans| (!trace_of(spans, &said[1]).is_empty()).then_some(())).await;
    trusting.stop().await;
    let told = "spans are not exported";
    let refused = async {
        while !stranger.log().contains(told) {
            sleep(POLL).await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
    stranger.stop().await;
    assert_eq!(trace_of(&collector.spans(), &said[0]).len(), 0);
}
