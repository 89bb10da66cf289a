//! One HTTP request over a plain socket: all that the tests need of HTTP.

use std::{io, net::IpAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The longest a single request may take.
const DEADLINE: Duration = Duration::from_secs(5);
const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

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

impl Response {
    /// The value of a header, if it came.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim())
    }

    /// The body without the sizes of its chunks, if it has any.
    #[must_use]
    pub fn text(&self) -> String {
        if self.header("transfer-encoding") != Some("chunked") {
            return self.body.clone();
        }
        let (mut text, mut rest) = (String::new(), self.body.as_str());
        while let Some((size, after)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or_default();
            let Some(chunk) = after.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
            text += chunk;
            rest = after.get(size + 2..).unwrap_or_default();
        }
        text
    }
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
    request("GET", port, path, headers, "").await
}

/// Sends any request. A WebSocket that is opened by it is closed again.
///
/// # Errors
/// As [`get`].
pub async fn request(
    method: &str,
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Response> {
    timeout(DEADLINE, exchange(method, (LOOPBACK, port), path, headers, body)).await?
}

async fn exchange(
    method: &str,
    server: (IpAddr, u16),
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Response> {
    let mut stream = TcpStream::connect(server).await?;
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    for (name, value) in [
        ("Host", format!("127.0.0.1:{}", server.1)),
        ("Connection", "close".to_owned()),
        ("Content-Length", body.len().to_string()),
    ] {
        if !given(name) && (name != "Content-Length" || method == "POST") {
            head += &format!("{name}: {value}\r\n");
        }
    }
    head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await? > 0 && !is_whole(&answer) {}
    let answer = String::from_utf8_lossy(&answer);
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
    Ok(Response { status, head: head.to_owned(), body: body.to_owned() })
}

/// Whether an answer needs no more, although its connection stays open.
fn is_whole(answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let mut lines = head.lines();
    // A WebSocket's head is all there is to see.
    lines.next().is_some_and(|status| status.starts_with("HTTP/1.1 101"))
        || lines.filter_map(|line| line.split_once(": ")).any(|(name, value)| {
            name.eq_ignore_ascii_case("content-length") && value == body.len().to_string()
        })
}

#[cfg(test)]
mod tests {
    use super::Response;

    #[test]
    fn a_text_has_no_chunks() {
        let of = |head: &str, body: &str| {
            Response { status: 200, head: head.to_owned(), body: body.to_owned() }.text()
        };
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked";
        assert_eq!(of(chunked, "3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n"), "abc0123456789");
        assert_eq!(of("HTTP/1.1 200 OK", "abc"), "abc");
    }
}
