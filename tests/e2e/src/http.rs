//! One HTTP GET over a plain socket: all that the tests need of HTTP.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The longest a single request may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// What came back.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header lines as they came.
    pub head: String,
    /// The body as it came, chunk sizes included if it was chunked.
    pub body: String,
}

/// GETs `path` from a port of this machine.
///
/// # Errors
/// When nothing listens there, or it does not answer in HTTP within five seconds.
pub async fn get(port: u16, path: &str) -> io::Result<Response> {
    get_with_headers(port, path, &[]).await
}

/// GETs `path` with more headers.
///
/// # Errors
/// As [`get`].
pub async fn get_with_headers(
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
) -> io::Result<Response> {
    timeout(DEADLINE, exchange(port, path, headers)).await?
}

async fn exchange(port: u16, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
    Ok(Response { status, head: head.to_owned(), body: body.to_owned() })
}
