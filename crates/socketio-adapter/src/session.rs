//! The life of one connection: it joins, is told that it is ready, sends, receives, ends.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use futures_util::{
    StreamExt,
    future::{Either, ready},
    stream::FuturesOrdered,
};
use game_realtime_application::{
    DeliveryGone, Joined, Recovery, Resume,
    limits::{Refusal, Seat},
    panics::{caught, caught_now, panic_point},
    ports::{ClientPush, CloseReason, PushOutcome, SpanKind},
    trace::Span,
    wire::{Answer, ErrorCode, Failure, count_event},
};
use game_realtime_domain::{Author, Connection, Timestamp};
use socketioxide::{
    handler::{MessageHandler, Value},
    socket::{DisconnectReason, Socket},
};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};

use crate::{
    decode,
    engine_session::EngineSession,
    gateway::Gateway,
    idle_transport::close_unless_connected,
    inbox::{Inbox, Incoming, Offered, Taken},
    library::EngineProtocol,
    push::ConnectionPush,
    wire,
};

/// How many events of one connection may be on their way to the store at once.
const IN_FLIGHT: usize = 16;

/// One connection, from the moment it is registered. Owned by its socket's handlers; when the
/// last of them is dropped, it ends, whatever the library did or did not tell us.
pub(crate) struct Session {
    gateway: Arc<Gateway>,
    connection: Connection,
    /// Until when its identity holds, if it ends.
    expires_at: Option<Timestamp>,
    seat: Seat,
    engine: Arc<EngineSession>,
    engine_id: String,
    protocol: EngineProtocol,
    push: Arc<ConnectionPush>,
    inbox: Inbox,
    began: Instant,
    ended: AtomicBool,
}

impl Session {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        connection: Connection,
        (seat, expires_at): (Seat, Option<Timestamp>),
        engine: Arc<EngineSession>,
        socket: &Arc<Socket>,
    ) -> Arc<Self> {
        let push = ConnectionPush::new(
            socket,
            Arc::clone(&engine),
            gateway.library().clone(),
            connection.namespace,
            gateway.limits().write_timeout,
        );
        let engine_id = socket.id.to_string();
        engine.connected();
        let namespace = connection.namespace.as_str();
        metrics::gauge!("game_realtime_connections", "namespace" => namespace).increment(1.0);
        Arc::new(Self {
            inbox: Inbox::new(gateway.limits().inbox_events),
            gateway,
            connection,
            expires_at,
            seat,
            engine,
            engine_id,
            protocol: socket.protocol().into(),
            push: Arc::new(push),
            began: Instant::now(),
            ended: AtomicBool::new(false),
        })
    }

    /// Joins delivery and tells the client that it is ready. Called once, after the client was
    /// told that it is connected.
    pub(crate) async fn begin(&self, cursor: Option<String>) {
        self.unless_it_panics(self.try_begin(cursor)).await;
    }

    async fn try_begin(&self, cursor: Option<String>) {
        panic_point("begin");
        let push: Arc<dyn ClientPush> = Arc::clone(&self.push) as _;
        if let Some(at) = self.expires_at {
            self.gateway.expiry().watch(self.connection.id, at, Arc::clone(&push));
        }
        let delivery = self.gateway.delivery();
        let joined = delivery.join(&self.connection, &push, Resume::parse(cursor.as_deref())).await;
        let (cursor, recovery) = match joined {
            Ok(Joined::At { cursor, recovery }) => (cursor, recovery),
            Ok(Joined::Ahead) => return self.push.close(CloseReason::Behind),
            Ok(Joined::Kicked) => return self.push.close(CloseReason::Kicked),
            Err(DeliveryGone) => return self.push.close(CloseReason::Drain),
        };
        if self.ended.load(Ordering::Acquire) {
            // It ended while it joined, so its leaving may have come first.
            self.forget_expiry();
            delivery.leave(self.connection.id).await;
            return;
        }
        let ready = wire::Ready::new(&self.connection, &cursor, recovery);
        let status = ready.status();
        match self.push.emit(wire::READY, &ready) {
            PushOutcome::Taken => {}
            PushOutcome::Full => {
                self.push.close(CloseReason::SlowConsumer);
                return;
            }
            // It has left its namespace; others on the same transport may not have.
            PushOutcome::Gone => return,
        }
        metrics::counter!("game_realtime_recoveries_total", "status" => status).increment(1);
        let replayed = match recovery {
            Recovery::Recovered(events) => events,
            Recovery::Fresh | Recovery::Gap => 0,
        };
        info!(
            connection.id = %self.connection.id,
            namespace = self.connection.namespace.as_str(),
            recovery = status,
            replayed,
            "connection ready"
        );
        if delivery.start(self.connection.id).await.is_err() {
            self.push.close(CloseReason::Drain);
        }
    }

    /// Takes an event from the client.
    fn receive(self: &Arc<Self>, mut event: Incoming) {
        if self.push.closing().is_some() {
            // It is on its way out; what it still says is not heard.
            return;
        }
        if !self.seat.take() {
            self.refuse(&event, Refusal::ConnectionRate);
            return;
        }
        event.permit = self.gateway.in_flight().take(event.size());
        if event.permit.is_none() {
            self.refuse(&event, Refusal::InFlight);
            return;
        }
        match self.inbox.offer(event) {
            Offered::Queued { start_worker, congested, full } => {
                if congested {
                    self.engine.set_congested(true);
                }
                if full && self.push.is_websocket() {
                    self.engine.pause_while_congested();
                }
                if start_worker {
                    let session = Arc::clone(self);
                    self.gateway.workers().spawn(async move {
                        session.unless_it_panics(Arc::clone(&session).work()).await;
                    });
                }
            }
            Offered::Refused(event) => self.refuse(&event, Refusal::Inbox),
        }
    }

    /// Does something for the connection, which ends if that panics: nobody would do the rest.
    async fn unless_it_panics(&self, work: impl Future<Output = ()>) {
        if caught(work).await.is_err() {
            self.push.close(CloseReason::Internal);
        }
    }

    /// Answers an event that is over a limit of the connection's.
    fn refuse(self: &Arc<Self>, event: &Incoming, refusal: Refusal) {
        refusal.count();
        count_event("unknown", ErrorCode::RateLimited.as_str());
        // What others take of the node is no fault of this client.
        if refusal != Refusal::InFlight && self.note_refusal() {
            return;
        }
        let answer = Answer::Failed(Failure::of(ErrorCode::RateLimited));
        let name = match &event.data {
            Value::Str(data, _) => decode::packet(data).ok().map(|packet| packet.name),
            Value::Bytes(_) => None,
        };
        let name = name.unwrap_or_default();
        let acknowledgement = event.acknowledgement;
        if self.push.try_answer(acknowledgement, &name, &answer) == PushOutcome::Full {
            let session = Arc::clone(self);
            self.gateway.tasks().spawn(async move {
                let answer = session.push.answer(acknowledgement, &name, &answer);
                session.unless_it_panics(async { answer.await.unwrap_or_default() }).await;
            });
        }
    }

    /// Sends the client away if it went on over its limits for too long; whether it did.
    fn note_refusal(&self) -> bool {
        let abused = self.seat.is_abused();
        if abused {
            self.push.close(CloseReason::Abuse);
        }
        abused
    }

    /// Carries out what waits in the inbox: several at a time, begun and answered in order.
    async fn work(self: Arc<Self>) {
        let mut in_flight = FuturesOrdered::new();
        loop {
            while in_flight.len() < IN_FLIGHT {
                let Some(Taken { event, relieved }) = self.inbox.take() else { break };
                if relieved {
                    self.engine.set_congested(false);
                }
                // Polled once here, so that events reach the store in their order.
                let mut carried_out = Box::pin(self.carry_out(event));
                in_flight.push_back(match futures_util::poll!(&mut carried_out) {
                    Poll::Ready(done) => Either::Left(ready(done)),
                    Poll::Pending => Either::Right(carried_out),
                });
            }
            if in_flight.is_empty() {
                if self.inbox.retire() {
                    return;
                }
                continue;
            }
            let Done { acknowledgement, name, answer, span } = tokio::select! {
                Some(done) = in_flight.next() => done,
                () = self.inbox.arrival(), if in_flight.len() < IN_FLIGHT => continue,
            };
            // A connection that is gone needs no answer; its events are carried out nevertheless.
            self.push.answer(acknowledgement, &name, &answer).await.ok();
            drop(span);
        }
    }

    async fn carry_out(&self, event: Incoming) -> Done {
        panic_point("worker");
        let traces = self.gateway.traces();
        let mut span = traces.begin("socketio.event.receive", SpanKind::Server, event.received_at);
        let (name, answer) = self.execute(&event, &span).await;
        if span.is_recording() {
            span.set("connection.id", self.connection.id.0);
            span.set("namespace", self.connection.namespace.as_str());
            describe(&mut span, &answer);
        }
        Done { acknowledgement: event.acknowledgement, name, answer, span }
    }

    /// The name of the event, and what became of it.
    async fn execute(&self, event: &Incoming, span: &Span) -> (String, Answer) {
        let data = match &event.data {
            Value::Str(data, _) => data.as_str(),
            Value::Bytes(_) => "",
        };
        let Ok(packet) = decode::packet(data) else {
            return (String::new(), Answer::Failed(Failure::of(ErrorCode::InvalidPayload)));
        };
        if self.gateway.refuses_events() {
            count_event("unknown", ErrorCode::Unavailable.as_str());
            return (packet.name, Answer::Failed(Failure::of(ErrorCode::Unavailable)));
        }
        let deadline = event.received_at + self.gateway.event_timeout();
        let author = Author::Connection(&self.connection);
        let executed = {
            let events = self.gateway.events();
            let executed = pin!(events.execute(author, &packet.name, packet.argument));
            timeout_at(deadline, span.scope(executed)).await
        };
        let answer = match executed {
            Ok(answer) => answer,
            Err(_elapsed) => {
                count_event("unknown", ErrorCode::Unavailable.as_str());
                Answer::Failed(Failure::of(ErrorCode::Unavailable))
            }
        };
        if matches!(&answer, Answer::Failed(failure) if failure.code == ErrorCode::RateLimited) {
            self.note_refusal();
        }
        (packet.name, answer)
    }

    fn forget_expiry(&self) {
        if let Some(at) = self.expires_at {
            self.gateway.expiry().forget(self.connection.id, at);
        }
    }

    /// Ends the session, once.
    pub(crate) fn end(&self, reason: Option<DisconnectReason>) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let namespace = self.connection.namespace.as_str();
        let closing = self.push.ended();
        let reason = closing.map_or_else(|| reason_name(reason), CloseReason::as_str);
        metrics::gauge!("game_realtime_connections", "namespace" => namespace).decrement(1.0);
        metrics::counter!(
            "game_realtime_disconnects_total", "namespace" => namespace, "reason" => reason
        )
        .increment(1);
        let duration_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(connection.id = %self.connection.id, namespace, reason, duration_ms, "connection ended");
        self.forget_expiry();
        self.engine.disconnected();
        if closing.is_some_and(CloseReason::is_final) {
            // Stock clients close it themselves, once they have read that they are disconnected.
            let (engine, id) = (Arc::clone(&self.engine), self.engine_id.clone());
            close_unless_connected(&self.gateway, engine, id, self.protocol);
        }
        let gateway = Arc::clone(&self.gateway);
        let connection = self.connection.clone();
        self.gateway.tasks().spawn(async move {
            let forget = || async {
                panic_point("disconnect");
                gateway.disconnect().execute(&connection).await;
            };
            // Nobody else would forget it.
            if caught(forget()).await.is_err() {
                caught(forget()).await.ok();
            }
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// The answer to one event, on its way.
struct Done {
    acknowledgement: Option<i64>,
    name: String,
    answer: Answer,
    /// Ends when it is answered.
    span: Span,
}

/// Says what became of an event. What is the client's fault is no failure.
fn describe(span: &mut Span, answer: &Answer) {
    match answer {
        Answer::Committed { event_type, appended } => {
            span.set("event.type", *event_type);
            span.set("outcome", if appended.duplicate { "duplicate" } else { "committed" });
        }
        Answer::Failed(failure) => {
            let code = failure.code.as_str();
            span.set("outcome", code);
            if matches!(failure.code, ErrorCode::Unavailable | ErrorCode::Internal) {
                span.fail(code);
            }
        }
    }
}

/// Takes every event of a socket, in the order in which the transport read them. (Handlers that
/// are async functions would run in tasks of their own, in any order and without a bound.)
pub(crate) struct Inbound(pub(crate) Arc<Session>);

impl MessageHandler<socketioxide::adapter::LocalAdapter, Inbound> for Inbound {
    fn call(&self, socket: Arc<Socket>, data: Value, acknowledgement: Option<i64>) {
        // The library may still pass on what follows the client's goodbye.
        if !socket.connected() {
            return;
        }
        debug!(connection.id = %self.0.connection.id, "event received");
        let incoming =
            Incoming { data, acknowledgement, received_at: Instant::now(), permit: None };
        let received = caught_now(|| {
            panic_point("receive");
            self.0.receive(incoming);
        });
        if received.is_err() {
            self.0.push.close(CloseReason::Internal);
        }
    }
}

/// The name of an end that the library noticed, in logs and metrics.
pub(crate) fn reason_name(reason: Option<DisconnectReason>) -> &'static str {
    match reason {
        None => "abandoned",
        Some(DisconnectReason::TransportClose) => "transport_close",
        Some(DisconnectReason::MultipleHttpPollingError) => "multiple_polls",
        Some(DisconnectReason::PacketParsingError) => "parse_error",
        Some(DisconnectReason::TransportError) => "transport_error",
        Some(DisconnectReason::HeartbeatTimeout) => "ping_timeout",
        Some(DisconnectReason::ClientNSDisconnect) => "client_disconnect",
        Some(DisconnectReason::ServerNSDisconnect) => "server_disconnect",
        Some(DisconnectReason::ClosingServer) => "closing",
    }
}
