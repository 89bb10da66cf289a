//! Many clients of one server: the load generator, in a process of its own.

use std::process::Stdio;

use game_realtime_loadgen::report::{Cost, Report};

use crate::{
    process::{CLIENTS_CORE, Process},
    server::Server,
};

/// Puts load on a server, as the load generator's arguments say.
///
/// # Panics
/// When it cannot, or anything was lost, doubled or out of order.
#[must_use]
pub fn put(server: &Server, arguments: &[&str]) -> Report {
    let url = format!("http://127.0.0.1:{}", server.port);
    let pid = server.process.id().to_string();
    let mut process = Process::start("game-realtime-loadgen", CLIENTS_CORE, |command| {
        command.args(arguments).args(server.subject.load_arguments());
        command.args(["--node", &url, "--server-pid", &pid, "--quiet", "--json", "-"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
    });
    let output = process.child().stdout.take().expect("stdout is a pipe");
    let report: Report = serde_json::from_reader(output).expect("a report, see above why not");
    assert!(report.verdict.ok, "{report}");
    report
}

/// What a server cost.
///
/// # Panics
/// When that was not measured.
#[must_use]
pub fn cost(report: &Report) -> &Cost {
    report.servers.get("server").expect("the server was measured")
}
