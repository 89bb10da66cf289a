//! `healthcheck`: asks the admin port of a running node, for container runtimes without curl.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail};
use game_realtime_admin_adapter::Config;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// A node that has not answered by then counts as dead.
const DEADLINE: Duration = Duration::from_secs(3);

/// More than any answer to `/healthz` is long.
const LONGEST_ANSWER: u64 = 4096;

/// Asks `/healthz`.
///
/// # Errors
/// When the answer is not 200, or there is none in time.
pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let address = SocketAddr::new(reachable(config.host), config.port);
    let answer = timeout(DEADLINE, ask(address))
        .await
        .with_context(|| format!("no answer from the admin port {address} within {DEADLINE:?}"))?
        .with_context(|| format!("cannot ask the admin port {address}"))?;
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("admin port {address} answered {status:?}");
    }
    Ok(())
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(LONGEST_ANSWER).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// An address to connect to, where the configuration says "any".
const fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(host) if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(host) if host.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        host @ (IpAddr::V4(_) | IpAddr::V6(_)) => host,
    }
}
