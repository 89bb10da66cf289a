//! Clients of one namespace in one thread: some flood the gateway with as many events as it commits,
//! some send a few and time the answers, and all check what they receive.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use game_realtime_loadgen::{
    clock::{Micros, micros},
    credentials::Credential,
    stamp::Stamp,
    swarm::Swarm,
};

use super::{
    breaches::{Breach, Breaches},
    ledger::Ledger,
    member::Member,
    watch::{Shared, Watch},
    wire::{Content, Kind, Templates, dialect},
};
use crate::Dice;

/// How long everybody may take to be connected at first.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// How long the last events may take to be answered and delivered everywhere.
const DRAIN_LIMIT: Duration = Duration::from_secs(90);
/// How long a connection may take to be ready.
const OPENING_LIMIT: Duration = Duration::from_secs(5);
const UPKEEP_INTERVAL: Duration = Duration::from_secs(2);
/// A quiet player sends 20 events a second.
const QUIET_PACE: Duration = Duration::from_millis(50);
/// Events with a `request_id`, in a hundred.
const WITH_REQUEST_ID: u64 = 10;
/// Of a player's events, in a thousand: purchases, and broadcasts. The rest are messages.
const PURCHASES: u64 = 55;
const BROADCASTS: u64 = 10;

/// Who a crowd is.
#[derive(Debug)]
pub(super) struct CrowdOptions {
    /// `private` or `guest`.
    pub(super) namespace: &'static str,
    pub(super) nodes: Vec<SocketAddr>,
    /// One for each member. The last of them are quiet.
    pub(super) credentials: Vec<Credential>,
    pub(super) quiet: u32,
    pub(super) in_flight: usize,
    pub(super) shared: Shared,
    pub(super) stop: Arc<AtomicBool>,
}

/// What came of a crowd.
#[derive(Debug, Default)]
pub(super) struct CrowdEnd {
    pub(super) breaches: Breaches,
    /// Events whose answer was lost and that nobody received.
    pub(super) unknown: u64,
}

/// Clients of one namespace.
pub(super) struct Crowd {
    options: CrowdOptions,
    swarm: Swarm,
    watch: Watch,
    templates: Templates,
    dice: Dice,
    upkeep_due: Micros,
}

impl Crowd {
    /// A crowd that is not connected yet. The number of members has to be a multiple of the nodes'.
    pub(super) fn new(options: CrowdOptions) -> Self {
        let count = u32::try_from(options.credentials.len()).expect("a crowd is small");
        let nodes = u32::try_from(options.nodes.len()).expect("nodes are few");
        let members = (0..count).map(|number| {
            if number + options.quiet >= count {
                Member::quiet(number, count, nodes, QUIET_PACE)
            } else {
                Member::flooding(number, count, nodes, options.in_flight)
            }
        });
        let watch = Watch {
            shared: options.shared.clone(),
            ledger: Ledger::new(count),
            members: members.collect(),
            has_users: options.namespace == "private",
        };
        let swarm = Swarm::new(
            options.shared.clock,
            dialect(options.namespace),
            options.nodes.clone(),
            options.credentials.clone(),
            count * nodes,
        );
        let swarm = swarm.expect("the system has room for a loop");
        let dice = Dice::new(u64::from(count));
        Self { options, swarm, watch, templates: Templates::new(), dice, upkeep_due: 0 }
    }

    /// Connects everybody, sends until it is told to stop, and waits for what is on its way.
    pub(super) fn run(mut self) -> CrowdEnd {
        let connected = |crowd: &Self| crowd.watch.members.iter().all(|member| member.is_live);
        self.turn_until(CONNECT_LIMIT, connected);
        while !self.options.stop.load(Ordering::Relaxed) {
            self.send_what_is_due();
            self.turn();
        }
        let idle = |crowd: &Self| crowd.watch.members.iter().all(Member::is_idle);
        self.turn_until(DRAIN_LIMIT, idle);
        // There is one order: a receiver of this event has received all before it.
        let now = self.options.shared.clock.now();
        if let Some(number) = self.watch.members.iter().position(|member| member.is_live) {
            self.send_new(number, now, Kind::Broadcast, true);
        }
        self.turn_until(DRAIN_LIMIT, |crowd| crowd.watch.ledger.unsettled() == 0);
        let Watch { ledger, members, .. } = &mut self.watch;
        for (number, member) in members.iter().enumerate().filter(|(_, member)| !member.is_live) {
            ledger.breaches.add(Breach::NotBack, || format!("{number}: {member:?}"));
        }
        let unknown = ledger.close();
        CrowdEnd { breaches: std::mem::take(&mut ledger.breaches), unknown }
    }

    fn turn_until(&mut self, limit: Duration, is_done: impl Fn(&Self) -> bool) {
        let end = self.options.shared.clock.now() + micros(limit);
        while !is_done(self) && self.options.shared.clock.now() < end {
            self.turn();
        }
    }

    /// One round of connecting, asking again, sending and receiving.
    fn turn(&mut self) {
        let now = self.options.shared.clock.now();
        let mut wake = now + micros(UPKEEP_INTERVAL);
        for number in 0..self.watch.members.len() {
            let Some(member) = self.watch.members.get_mut(number) else { continue };
            if let Some(connection) = member.connect(now) {
                self.swarm.open(connection, now, &mut self.watch);
            }
            while let Some(event) =
                self.watch.members.get_mut(number).and_then(|it| it.next_again(now))
            {
                self.send_again(number, event, now);
            }
            let next = self.watch.members.get(number).map_or(wake, |member| member.wake(now));
            wake = wake.min(next.max(now + 1));
        }
        if now >= self.upkeep_due {
            self.upkeep_due = now + micros(UPKEEP_INTERVAL);
            self.keep_up(now);
        }
        self.swarm.turn(wake, &mut self.watch).expect("the system tells what sockets have");
    }

    fn keep_up(&mut self, now: Micros) {
        self.swarm.give_up(OPENING_LIMIT, &mut self.watch);
        let Watch { ledger, members, .. } = &mut self.watch;
        for (sender, number) in ledger.sweep(now) {
            let member = members.get_mut(sender as usize);
            if member.is_some_and(|member| member.is_live && member.answered(number)) {
                ledger.miss_answer(sender, number, false);
                ledger.breaches.add(Breach::Unanswered, || format!("{number} of {sender}"));
            }
        }
    }

    fn send_what_is_due(&mut self) {
        let now = self.options.shared.clock.now();
        for number in 0..self.watch.members.len() {
            while let Some(due) = self.watch.members.get_mut(number).and_then(|it| it.next_due(now))
            {
                let kind = self.kind(number);
                let has_request_id = self.dice.below(100) < WITH_REQUEST_ID;
                self.send_new(number, due, kind, has_request_id);
            }
        }
    }

    fn kind(&mut self, number: usize) -> Kind {
        if !self.watch.has_users {
            return Kind::Broadcast;
        }
        let is_quiet = self.watch.members.get(number).is_some_and(Member::is_quiet);
        let count = self.watch.members.len() as u64;
        let target = (number as u64 + 1 + self.dice.below(count - 1)) % count;
        let target = Kind::Message(u32::try_from(target).unwrap_or_default());
        match self.dice.below(1000) {
            _ if is_quiet => target,
            roll if roll < PURCHASES => Kind::Purchase,
            roll if roll < PURCHASES + BROADCASTS => Kind::Broadcast,
            _ => target,
        }
    }

    fn send_new(&mut self, number: usize, due: Micros, kind: Kind, has_request_id: bool) {
        let sender = u32::try_from(number).unwrap_or_default();
        let event = self.watch.ledger.issue(sender);
        let content = Content { kind, stamp: Stamp { run: sender, event, due }, has_request_id };
        self.watch.ledger.send(content, self.options.shared.clock.now());
        if let Some(member) = self.watch.members.get_mut(number) {
            member.sent(event);
        }
        self.write(number, &content);
    }

    fn send_again(&mut self, number: usize, event: u32, now: Micros) {
        let sender = u32::try_from(number).unwrap_or_default();
        if let Some(content) = self.watch.ledger.again(sender, event, now) {
            self.write(number, &content);
        }
    }

    fn write(&mut self, number: usize, content: &Content) {
        let Some(member) = self.watch.members.get(number) else { return };
        let target = match content.kind {
            Kind::Message(target) => self.options.credentials.get(target as usize),
            Kind::Broadcast | Kind::Purchase => None,
        };
        let target = target.map_or("", |credential| &credential.user);
        let templates = &self.templates;
        self.swarm.send(member.connection(), |dialect, out| {
            templates.write(dialect, out, content, target);
        });
    }
}
