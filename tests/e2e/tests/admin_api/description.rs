//! The description of the API, held against the running server.

use std::{env, path::Path, path::PathBuf, process::Stdio, time::Duration};

use game_realtime_e2e::{API_TOKEN, Settings, Store};
use tokio::{process::Command, time::timeout};

use crate::nodes::ApiNode;

/// For all requests that schemathesis thinks up.
const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_description_is_served_with_the_limits_of_the_node() {
    let settings = Settings::new(&Store::Memory).with_toml("limits.message_length", "17");
    let node = ApiNode::start(settings).await;
    let described = node.api.get("/api/v1/openapi.json").await;
    assert_eq!((described.status, &described.json["openapi"]), (200, &"3.1.0".into()));
    let message = &described.json["components"]["schemas"]["Broadcast"]["properties"]["message"];
    assert_eq!(message["maxLength"], 17);
    node.server.stop().await;
}

#[tokio::test]
async fn the_server_does_what_the_description_says() {
    let node = ApiNode::alone().await;
    // It leaves notes where it runs.
    let directory = tempfile::tempdir().unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis.toml");
    let checked = Command::new(schemathesis())
        .arg("--config-file")
        .arg(config)
        .args(["run", &format!("http://127.0.0.1:{}/api/v1/openapi.json", node.api.port())])
        .args(["-H", &format!("Authorization: Bearer {API_TOKEN}")])
        .args(["--phases", "coverage,fuzzing", "--max-examples", "10"])
        .args(["--generation-deterministic", "--no-color", "--request-timeout", "10"])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let checked = timeout(DEADLINE, checked).await.expect("schemathesis ends").unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}\n{}", String::from_utf8_lossy(&checked.stderr));
    node.server.stop().await;
}

/// That of `tools/setup`; `GAME_REALTIME_E2E_SCHEMATHESIS` names another.
fn schemathesis() -> PathBuf {
    env::var_os("GAME_REALTIME_E2E_SCHEMATHESIS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/bin/schemathesis"),
        PathBuf::from,
    )
}
