//! The list of metrics, the dashboard and the alerts are about what the binary really exposes.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests may fail")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use game_realtime_e2e::{ConnectOptions, Driver, Library, Server, Settings, Store, event, shape};
use serde_json::json;

const PREFIX: &str = "game_realtime_";

/// A line of docs/metrics.md.
#[derive(Debug, PartialEq, Eq)]
struct Documented {
    kind: String,
    labels: BTreeSet<String>,
    there: String,
}

/// What `/metrics` says of one metric.
#[derive(Debug, Default)]
struct Exposed {
    kind: String,
    described: bool,
    labels: BTreeSet<String>,
}

#[tokio::test]
async fn what_is_documented_is_exposed_and_what_is_exposed_is_documented() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let documented = documented();
    let at_start = exposed(&metrics_of(&server).await);
    for (name, _) in documented.iter().filter(|(_, metric)| metric.there == "start") {
        assert!(at_start.contains_key(name), "{name} is not there at the start");
    }

    let driver = Driver::start(Library::JavaScript4);
    let guest = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
    let ack = guest.emit(event::BROADCAST, json!({"message": "hello"})).await;
    shape::assert_committed(&ack, event::BROADCAST, false);
    guest.await_events(event::BROADCAST, 1).await;
    let exposed = exposed(&metrics_of(&server).await);
    for (name, metric) in documented.iter().filter(|(_, metric)| metric.there != "etcd") {
        let exposed = exposed.get(name).unwrap_or_else(|| panic!("{name} is not exposed"));
        assert!(exposed.described, "{name} has no HELP");
        assert_eq!(exposed.kind, metric.kind, "{name}");
        assert_eq!(exposed.labels, metric.labels, "{name}");
    }
    for name in exposed.keys() {
        assert!(documented.contains_key(name), "{name} is not in docs/metrics.md");
    }
    server.stop().await;
}

#[test]
fn every_name_in_the_source_is_documented_and_described() {
    let documented = documented();
    let mut sources = Vec::new();
    for crates in [root().join("crates"), root().join("apps")] {
        for package in fs::read_dir(crates).unwrap() {
            find_sources(&package.unwrap().path().join("src"), &mut sources);
        }
    }
    assert!(sources.len() > 50, "{}", sources.len());
    for source in sources {
        // As a string: crates have such names as well.
        for name in names_after("\"", &fs::read_to_string(&source).unwrap()) {
            let known = documented.contains_key(base(&name));
            assert!(known, "{name} of {} is not in docs/metrics.md", source.display());
        }
    }
    let described = names(&read("crates/admin-adapter/src/metrics.rs"));
    for name in documented.keys().filter(|name| !name.contains("_process_")) {
        assert!(described.contains(name), "{name} is not described");
    }
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_what_there_is() {
    let documented = documented();
    let dashboard = read("config/deploy/grafana/game-realtime.json");
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() > 10);
    let mut asked = names(&dashboard);
    asked.extend(names(&read("config/deploy/prometheus/alerts.yml")));
    assert!(asked.len() > 20, "{asked:?}");
    for name in &asked {
        assert!(documented.contains_key(base(name)), "{name} is not in docs/metrics.md");
    }
    let asked: BTreeSet<_> = asked.iter().map(|name| base(name)).collect();
    // Nobody draws address space, threads or the version's value.
    let idle =
        ["process_virtual_memory_bytes", "process_virtual_memory_max_bytes", "process_threads"];
    for name in documented.keys().filter(|name| !idle.iter().any(|idle| name.ends_with(idle))) {
        assert!(asked.contains(name.as_str()), "nobody asks for {name}");
    }
}

async fn metrics_of(server: &Server) -> String {
    server.admin("/metrics").await.unwrap().body
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn find_sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The table of docs/metrics.md.
fn documented() -> BTreeMap<String, Documented> {
    let text = read("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with(&format!("| `{PREFIX}")));
    let documented: BTreeMap<_, _> = rows
        .map(|row| {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [name, kind, labels, _unit, there, meaning] = cells.as_slice() else {
                panic!("not six cells: {row}")
            };
            assert!(!meaning.is_empty() && ["start", "use", "etcd"].contains(there), "{row}");
            let labels = labels.split(',').map(|label| label.trim().trim_matches('`').to_owned());
            let metric = Documented {
                kind: (*kind).to_owned(),
                labels: labels.filter(|label| !label.is_empty()).collect(),
                there: (*there).to_owned(),
            };
            (name.trim_matches('`').to_owned(), metric)
        })
        .collect();
    assert!(documented.len() > 20, "{}", documented.len());
    documented
}

/// The metrics in the text format of Prometheus.
fn exposed(text: &str) -> BTreeMap<String, Exposed> {
    let mut exposed: BTreeMap<String, Exposed> = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains(PREFIX)) {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, _] => {
                exposed.entry((*name).to_owned()).or_default().described = true;
            }
            ["#", "TYPE", name, kind] => {
                exposed.entry((*name).to_owned()).or_default().kind = (*kind).to_owned();
            }
            _ => {
                let (name, rest) = line.split_once(['{', ' ']).unwrap();
                let labels = rest.split_once('}').map_or("", |(labels, _)| labels);
                let keys = labels.split(',').filter_map(|label| label.split_once('='));
                let keys = keys.map(|(key, _)| key.to_owned()).filter(|key| key != "le");
                exposed.entry(base(name).to_owned()).or_default().labels.extend(keys);
            }
        }
    }
    exposed
}

/// Every name of a metric in a text.
fn names(text: &str) -> BTreeSet<String> {
    names_after("", text)
}

/// Every name of a metric in a text that stands behind `before`.
fn names_after(before: &str, text: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_lowercase() || character == '_';
    let beginning = format!("{before}{PREFIX}");
    let found = text.match_indices(&beginning).map(|(at, _)| {
        let name = &text[at + before.len()..];
        name.split(|character| !is_part(character)).next().unwrap_or_default().to_owned()
    });
    found.filter(|name| name != PREFIX).collect()
}

/// A metric's name without what a histogram adds.
fn base(name: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name)
}
