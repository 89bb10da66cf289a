//! One connection of a client, from its beginning to its end: what a transport does around the
//! application core, and what people do.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use game_realtime_application::{
    Joined, Resume,
    ports::{Appended, ClientPush, CloseReason, Credentials},
    use_cases::PublishError,
};
use game_realtime_domain::Connection;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Client, user};
use crate::{
    node::Node,
    push::Push,
    request::{Kind, Request},
    validator::Validator,
    world::{World, note},
};

/// A connection that a node has let in.
struct Session {
    world: Arc<World>,
    node: Arc<Node>,
    connection: Connection,
    push: Arc<Push>,
    ended: AtomicBool,
}

impl Session {
    /// Ends it, once.
    fn end(self: &Arc<Self>) {
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        note!(self.world, "{} ends", self.connection.id);
        self.push.end();
        self.world.validator.ended(self.connection.id);
        let session = Arc::clone(self);
        self.node.spawn(async move {
            session.node.disconnect.execute(&session.connection).await;
            session.push.has_left();
        });
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// Why a request is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    First,
    /// Nobody knows what became of the first attempt.
    Unsure,
    /// It was carried out, and this is a mistake of the client.
    Again,
    /// Its id was used for something else.
    Conflict,
}

impl Client {
    pub(super) async fn visit(self: &Arc<Self>, node: &Arc<Node>) {
        let Some(Some(session)) = node.stop.run_until_cancelled(self.connect(node)).await else {
            return;
        };
        let joined = node.stop.run_until_cancelled(self.join(&session)).await;
        if joined == Some(true) {
            self.memory.set_ready(true);
            self.stay(&session).await;
            self.memory.set_ready(false);
        }
        session.end();
        if self.user.is_none() {
            // A guest that returns is somebody else.
            self.memory.forget_requests();
        }
    }

    async fn connect(&self, node: &Arc<Node>) -> Option<Arc<Session>> {
        let token = self.user.as_ref().map(ToString::to_string);
        let credentials = Credentials { token, ..Credentials::default() };
        let address = Ipv4Addr::LOCALHOST.into();
        let begun = Instant::now();
        let connected = node.connect.execute(self.namespace, &credentials, address).await;
        let Ok(connected) = connected else {
            self.world.tally.count("connects refused");
            return None;
        };
        let connection = connected.connection;
        self.world.validator.arrived(&connection, begun);
        note!(self.world, "client {} is {} on {}", self.number, connection.id, node.id);
        Some(Arc::new(Session {
            world: Arc::clone(&self.world),
            node: Arc::clone(node),
            connection,
            push: Push::new(&self.world, node),
            ended: AtomicBool::new(false),
        }))
    }

    /// Joins delivery; whether the connection is ready then.
    async fn join(self: &Arc<Self>, session: &Arc<Session>) -> bool {
        let world = &self.world;
        let (node, connection) = (&session.node, &session.connection);
        let resumed = self.memory.resume(&self.random);
        let push: Arc<dyn ClientPush> = Arc::clone(&session.push) as _;
        let before = Validator::joining(node);
        if !world.is_settling() && self.random.chance(5) {
            // The transport notices its end while this is still joining.
            let (session, moment) = (Arc::clone(session), self.random.millis(0..=5));
            tokio::spawn(async move {
                sleep(moment).await;
                session.end();
            });
        }
        let joining = node.delivery.join(connection, &push, Resume::parse(resumed.cursor()));
        // Some lose their patience, and with it the answer.
        let patience = self.random.millis(0..=20);
        let hurried = !world.is_settling() && self.random.chance(3);
        let joined = match hurried {
            true => timeout(patience, joining).await.unwrap_or(Ok(Joined::Ahead)),
            false => joining.await,
        };
        let (cursor, recovery) = match joined {
            Ok(Joined::At { cursor, recovery }) => (cursor, recovery),
            Ok(Joined::Ahead) => {
                world.tally.count("joins at a node that is behind");
                return false;
            }
            Ok(Joined::Kicked) => {
                world.tally.count("joins of the kicked");
                world.validator.kicked(world, connection);
                return false;
            }
            Err(_) if node.stop.is_cancelled() => return false,
            Err(_) => {
                world.violated(format!("the delivery of {} has ended by itself", node.id));
                return false;
            }
        };
        if session.has_ended() {
            // As its leaving may have come before its joining.
            node.delivery.leave(connection.id).await;
            return false;
        }
        note!(world, "{} joins {resumed:?} at {cursor}: {recovery:?}", connection.id);
        let answer = (&cursor, recovery);
        world.validator.ready(world, node, connection, (&resumed, &before), answer);
        self.memory.has_come_to(cursor.to_string(), &self.random);
        if self.random.chance(30) {
            // Telling it takes a while. Until then nothing may come.
            sleep(self.random.millis(0..=50)).await;
        }
        session.push.is_ready();
        node.delivery.start(connection.id).await.is_ok()
    }

    /// Is connected, until either side ends it.
    async fn stay(self: &Arc<Self>, session: &Arc<Session>) {
        let mut next_action = Instant::now() + self.pause();
        let mut stalled_until = Instant::now();
        loop {
            let stalled = Instant::now() < stalled_until && !self.world.is_settling();
            if !stalled {
                self.read(session);
            }
            if session.has_ended() {
                return;
            }
            if let Some(reason) = session.push.closed() {
                self.world.tally.count(reason.as_str());
                note!(self.world, "{} is closed: {}", session.connection.id, reason.as_str());
                if !session.node.link.told().lost && reason == CloseReason::HistoryLost {
                    self.world.violated("history lost without a reason".into());
                }
                if reason == CloseReason::Kicked {
                    self.world.validator.kicked(&self.world, &session.connection);
                }
                return;
            }
            let wake = if stalled { next_action.min(stalled_until) } else { next_action };
            tokio::select! {
                biased;
                () = session.node.stop.cancelled() => return,
                () = session.push.arrived.notified() => continue,
                () = sleep_until(wake) => {}
            }
            if Instant::now() < next_action {
                continue;
            }
            next_action = Instant::now() + self.pause();
            if self.world.is_settling() {
                if let Some(request) = self.memory.take_unsure() {
                    self.send(session, request, Purpose::Unsure).await;
                }
                continue;
            }
            match self.random.below(100) {
                0..=3 => return,
                4..=7 => {
                    self.world.tally.count("stalls");
                    stalled_until = Instant::now() + self.random.millis(100..=8000);
                }
                _ => self.act(session).await,
            }
        }
    }

    fn read(&self, session: &Arc<Session>) {
        while let Some(arrived) = session.push.read() {
            let id = session.connection.id;
            note!(self.world, "{id} receives {}", arrived.position);
            self.world.validator.received(&self.world, id, &arrived);
            self.memory.has_come_to(arrived.cursor, &self.random);
            if session.push.closed().is_some() && self.random.chance(30) {
                // Cut off with something on the way.
                return;
            }
        }
    }

    /// Sends something.
    async fn act(self: &Arc<Self>, session: &Arc<Session>) {
        let random = &self.random;
        let (request, purpose) = match random.below(100) {
            0..=19 => match self.memory.take_unsure() {
                Some(request) => (request, Purpose::Unsure),
                None => return,
            },
            20..=24 => match self.memory.done() {
                Some((request, _)) => (request, Purpose::Again),
                None => return,
            },
            25..=27 => match self.memory.done() {
                Some((request, _)) => {
                    let text = format!("{}-otherwise", request.text);
                    (Request { text, ..request }, Purpose::Conflict)
                }
                None => return,
            },
            _ => {
                let text = format!("{}-{}", self.number, self.memory.next_number());
                let kind = match random.below(4) {
                    0 => Kind::BuyGood,
                    // One player more than there are: messages to somebody who is never there.
                    1 | 2 => Kind::SendMessage(user(random.below(self.world.plan.users + 1))),
                    _ => Kind::Broadcast,
                };
                let request_id = random.chance(80).then(|| text.clone());
                (Request { text, kind, request_id }, Purpose::First)
            }
        };
        // Some press the button again and again.
        let again =
            if purpose == Purpose::First && random.chance(5) { random.below(12) } else { 0 };
        let repeated = request.request_id.is_some().then(|| request.clone());
        self.send(session, request, purpose).await;
        for request in std::iter::repeat_n(repeated, again).flatten() {
            self.world.tally.count("repeats in flight");
            self.send(session, request, Purpose::Unsure).await;
        }
    }

    /// Begins a request, before anything else is sent; its answer comes later.
    async fn send(self: &Arc<Self>, session: &Arc<Session>, request: Request, purpose: Purpose) {
        note!(self.world, "{} sends {}", session.connection.id, request.text);
        let number = self.memory.next_number();
        let execution = {
            let (request, session) = (request.clone(), Arc::clone(session));
            async move { request.execute(&session.node, &session.connection).await }
        };
        let mut execution = Box::pin(execution);
        let begun =
            std::future::poll_fn(|context| Poll::Ready(execution.as_mut().poll(context))).await;
        self.memory.begin();
        let (client, session) = (Arc::clone(self), Arc::clone(session));
        tokio::spawn(async move {
            let answer = match begun {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => session.node.stop.run_until_cancelled(execution).await,
            };
            client.learn(&session, request, purpose, number, answer);
            client.memory.finish();
        });
    }

    /// Takes an answer; `None` if the node died over it.
    fn learn(
        &self,
        session: &Arc<Session>,
        request: Request,
        purpose: Purpose,
        number: u64,
        answer: Option<Result<Appended, PublishError>>,
    ) {
        let world = &self.world;
        let text = &request.text;
        let forbidden = self.user.is_none() && matches!(request.kind, Kind::BuyGood);
        match &answer {
            Some(Ok(appended)) => {
                note!(world, "{text} is committed at {}", appended.cursor.position);
                world.tally.count("requests acknowledged");
                if purpose == Purpose::Conflict || forbidden {
                    world.violated(format!("{text} was accepted: {appended:?}"));
                }
                if appended.duplicate {
                    world.tally.count("repeats recognised");
                    if purpose == Purpose::First {
                        world.violated(format!("{text} was new and taken for a duplicate"));
                    }
                }
                let presence = matches!(request.kind, Kind::SendMessage(_));
                if appended.recipient_connections.is_some() != presence {
                    world.violated(format!("{text} was told {:?}", appended.recipient_connections));
                }
                let connection = (session.connection.id, number);
                world.validator.acknowledged(world, &request, connection, appended);
            }
            Some(Err(PublishError::IdempotencyConflict)) => {
                world.tally.count("conflicts recognised");
                if purpose != Purpose::Conflict {
                    world.violated(format!("{text} was taken for another request"));
                }
            }
            Some(Err(PublishError::Forbidden)) => {
                if !forbidden {
                    world.violated(format!("{text} was forbidden"));
                }
            }
            Some(Err(PublishError::Store(_))) | None => {
                world.tally.count("requests without an answer");
            }
            Some(Err(PublishError::RateLimited)) => {
                world.violated(format!("{text} was over a budget that has no bound"));
            }
            Some(Err(PublishError::Encode(error))) => world.violated(format!("{text}: {error}")),
        }
        if forbidden || purpose == Purpose::Conflict || request.request_id.is_none() {
            return;
        }
        // An answer reaches the client only on the connection it asked on.
        let client_learns = !session.has_ended() && !session.node.stop.is_cancelled();
        match answer {
            Some(Ok(appended)) if client_learns => self.memory.is_done(request, appended),
            // A repeat of what is known to be done needs no answer; a guest cannot ask again.
            Some(_) | None if purpose == Purpose::Again => {}
            Some(_) | None if self.user.is_none() && session.has_ended() => {}
            Some(_) | None => self.memory.is_unsure_of(request),
        }
    }
}
