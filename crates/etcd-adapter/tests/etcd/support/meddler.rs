//! A proxy between a store and etcd that answers some calls itself, or gives a refusal another code
//! and text: what other versions of etcd say.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use h2::{RecvStream, SendStream, client, server};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Listens on a port of its own, until the test's runtime ends.
pub(crate) struct Meddler {
    port: u16,
    rules: Rules,
}

#[derive(Clone, Default)]
struct Rules(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Calls there were, by method.
    calls: HashMap<String, usize>,
    answers: Vec<Answer>,
    recoded: Option<(&'static str, Refusal)>,
}

#[derive(Clone, Copy)]
struct Refusal {
    code: i32,
    text: &'static str,
}

struct Answer {
    method: &'static str,
    times: usize,
    refusal: Refusal,
}

impl Meddler {
    /// Stands before the etcd at an endpoint.
    pub(crate) async fn before(endpoint: &str) -> Self {
        let address = endpoint.replace("http://", "");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let rules = Rules::default();
        let of_connections = rules.clone();
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                connections.spawn(serve(stream, address.clone(), of_connections.clone()));
            }
        });
        Self { port, rules }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How often a method was called, whether etcd or this proxy answered.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.rules.lock().calls.get(method).copied().unwrap_or_default()
    }

    /// Answers the next calls of a method.
    pub(crate) fn answer(&self, method: &'static str, times: usize, code: i32, text: &'static str) {
        let refusal = Refusal { code, text };
        self.rules.lock().answers.push(Answer { method, times, refusal });
    }

    /// Answers nothing any more.
    pub(crate) fn pass(&self) {
        self.rules.lock().answers.clear();
    }

    /// Gives etcd's refusals with a part of a text another code and text.
    pub(crate) fn recode(&self, part: &'static str, code: i32, text: &'static str) {
        self.rules.lock().recoded = Some((part, Refusal { code, text }));
    }
}

impl Rules {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    /// Counts a call. Returns what to answer, if not what etcd does.
    fn take(&self, method: &str) -> Option<Refusal> {
        let mut state = self.lock();
        *state.calls.entry(method.to_owned()).or_default() += 1;
        let answer = state.answers.iter_mut().find(|it| it.method == method && it.times > 0)?;
        answer.times -= 1;
        Some(answer.refusal)
    }

    fn recode(&self, headers: &mut HeaderMap) {
        let Some((part, refusal)) = self.lock().recoded else { return };
        let text = headers.get("grpc-message").and_then(|text| text.to_str().ok());
        if text.is_some_and(|text| text.contains(part)) {
            refusal.write(headers);
        }
    }
}

impl Refusal {
    fn write(self, headers: &mut HeaderMap) {
        headers.insert("grpc-status", HeaderValue::from(self.code));
        headers.insert("grpc-message", HeaderValue::from_static(self.text));
    }
}

async fn serve(stream: TcpStream, address: String, rules: Rules) {
    let Ok(etcd) = TcpStream::connect(&address).await else { return };
    etcd.set_nodelay(true).ok();
    stream.set_nodelay(true).ok();
    let Ok((etcd, connection)) = client::handshake(etcd).await else { return };
    let Ok(mut incoming) = server::handshake(stream).await else { return };
    let mut calls = JoinSet::new();
    calls.spawn(async move {
        connection.await.ok();
    });
    while let Some(Ok((request, respond))) = incoming.accept().await {
        let (etcd, address, rules) = (etcd.clone(), address.clone(), rules.clone());
        calls.spawn(async move {
            pass(request, respond, etcd, &address, rules).await.ok();
        });
    }
}

/// Passes a call on, and its answer back.
async fn pass(
    request: Request<RecvStream>,
    mut respond: server::SendResponse<Bytes>,
    etcd: client::SendRequest<Bytes>,
    address: &str,
    rules: Rules,
) -> Result<(), h2::Error> {
    let (parts, body) = request.into_parts();
    let method = parts.uri.path().rsplit('/').next().unwrap_or_default();
    if let Some(refusal) = rules.take(method) {
        let mut response = Response::new(());
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        refusal.write(response.headers_mut());
        respond.send_response(response, true)?;
        return Ok(());
    }
    let mut passed = Request::new(());
    *passed.method_mut() = parts.method.clone();
    let uri = format!("http://{address}{}", parts.uri.path());
    *passed.uri_mut() = uri.parse().expect("a URI");
    *passed.headers_mut() = parts.headers.clone();
    let (response, up) = etcd.ready().await?.send_request(passed, false)?;
    let requests = pump(body, up, Rules::default());
    let answers = async {
        let (mut head, body) = response.await?.into_parts();
        rules.recode(&mut head.headers);
        let ended = body.is_end_stream();
        let down = respond.send_response(Response::from_parts(head, ()), ended)?;
        if ended { Ok(()) } else { pump(body, down, rules.clone()).await }
    };
    tokio::try_join!(requests, answers)?;
    Ok(())
}

async fn pump(
    mut from: RecvStream,
    mut to: SendStream<Bytes>,
    rules: Rules,
) -> Result<(), h2::Error> {
    while let Some(chunk) = from.data().await {
        let chunk = chunk?;
        from.flow_control().release_capacity(chunk.len())?;
        to.send_data(chunk, false)?;
    }
    match from.trailers().await? {
        Some(mut trailers) => {
            rules.recode(&mut trailers);
            to.send_trailers(trailers)
        }
        None => to.send_data(Bytes::new(), true),
    }
}
