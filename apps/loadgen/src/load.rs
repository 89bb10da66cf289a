//! One run, from the first connection to the report.

use std::{collections::BTreeMap, io, time::Duration};

use crate::{
    clock::{Clock, Micros, micros, seconds},
    dialect::Filling,
    dice::Dice,
    ledger::{Audience, Ledger},
    meter::{Meter, Reading},
    opening::Opening,
    pace::{Due, Pacer, per_second},
    plan::{Mix, Plan, Scenario},
    progress::Progress,
    report::{Connecting, Cost, Measured, Report, Verdict},
    stamp::Stamp,
    swarm::Swarm,
    witness::{Arrivals, Witness},
};

/// How often it is looked for connections that are late.
const IMPATIENCE: Duration = Duration::from_millis(500);
/// Events of one sender that are on their way while others are away.
const IN_FLIGHT_WHILE_AWAY: u32 = 64;

/// Does what the plan says.
///
/// # Errors
/// When the system fails, or a watched process is not there. What servers do is no error but part of
/// the report.
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    Load::new(plan)?.run()
}

struct Load<'a> {
    plan: &'a Plan,
    clock: Clock,
    run: u32,
    swarm: Swarm,
    witness: Witness,
    progress: Progress,
    dice: Dice,
    meter: Meter<'a>,
    /// What was measured while events were sent.
    measured: Option<Measured>,
    connecting: Option<Connecting>,
    costs: Option<Reading>,
    sent: u64,
}

impl<'a> Load<'a> {
    fn new(plan: &'a Plan) -> anyhow::Result<Self> {
        let clock = Clock::start();
        let users = u32::try_from(plan.credentials.len())?;
        let dice = Dice::new(plan.seed);
        // Two runs must not take each other's events for their own.
        let run =
            Dice::new(Clock::unix_seconds() << 22 ^ u64::from(std::process::id())).roll(u32::MAX);
        let ledger = Ledger::new(plan.dialect.order, plan.connections, users);
        Ok(Self {
            plan,
            clock,
            run,
            swarm: Swarm::new(
                clock,
                plan.dialect.clone(),
                plan.nodes.clone(),
                plan.credentials.clone(),
                plan.connections,
            )?,
            witness: Witness::new(run, &plan.dialect.accepted, plan.until, ledger),
            progress: Progress::new(plan.is_quiet),
            dice,
            meter: Meter::new(&plan.watched),
            measured: None,
            connecting: None,
            costs: None,
            sent: 0,
        })
    }

    fn run(mut self) -> anyhow::Result<Report> {
        let plan = self.plan;
        if plan.scenario == Scenario::Reconnect {
            self.witness.remember_cursors(plan.connections);
        }
        self.open_first()?;
        let connecting = self.open(1)?;
        self.connecting = Some(connecting);
        match plan.scenario {
            Scenario::Connect => {}
            Scenario::Idle => self.wait(plan.duration, |_| false)?,
            Scenario::Broadcast | Scenario::Direct | Scenario::Purchase | Scenario::Mixed => {
                self.send_events()?;
            }
            Scenario::Reconnect => self.reconnect()?,
        }
        if !plan.scenario.sends() {
            self.read_costs();
        }
        self.wait(plan.grace, |witness| witness.ledger.is_settled())?;
        self.wait(plan.aftermath, |_| false)?;
        self.report()
    }

    /// Reads what the servers have cost. One that is gone by now is part of the verdict.
    fn read_costs(&mut self) {
        match self.meter.read(self.clock.now()) {
            Ok(costs) => self.costs = Some(costs),
            Err(error) => self.witness.reason(format!("not measured: {error:#}")),
        }
    }

    /// Lets one connection in before memory and time are measured: code counts as memory once it has
    /// run.
    fn open_first(&mut self) -> anyhow::Result<()> {
        self.swarm.open(0, self.clock.now(), &mut self.witness);
        let patience = micros(self.plan.connect_timeout);
        let end = self.clock.now() + patience;
        while self.swarm.opening() > 0 && self.clock.now() < end {
            self.swarm.turn(end, &mut self.witness)?;
        }
        self.swarm.give_up(Duration::ZERO, &mut self.witness);
        self.witness.connect.clear();
        self.meter.start(self.clock.now())?;
        Ok(())
    }

    /// Opens the connections from this one on.
    fn open(&mut self, from: u32) -> anyhow::Result<Connecting> {
        let begin = self.clock.now();
        let before = self.witness.counts.connected;
        self.witness.connect.clear();
        let mut opening = self.opening(from, begin);
        while !opening.is_over(&self.swarm) {
            let wake = opening.step(self.clock.now(), &mut self.swarm, &mut self.witness);
            self.turn(wake, "connecting")?;
        }
        Ok(self.connecting_since(begin, before))
    }

    fn opening(&self, from: u32, begin: Micros) -> Opening {
        Opening::new(
            from..self.plan.connections,
            self.plan.connect_rate,
            self.plan.connect_window,
            begin,
        )
    }

    fn connecting_since(&self, begin: Micros, before: u64) -> Connecting {
        let ready = self.witness.counts.connected - before;
        let time = self.witness.last_ready.saturating_sub(begin);
        Connecting {
            seconds: seconds(time),
            ready,
            per_second: per_second(ready, time),
            latency: self.witness.connect.summary(),
        }
    }

    /// Sends events, first to warm up, then measured.
    fn send_events(&mut self) -> anyhow::Result<()> {
        let plan = self.plan;
        if !plan.warm_up.is_zero() {
            self.drive(plan.warm_up, u64::MAX, None, "warming up")?;
        }
        self.drive_measured(None)
    }

    fn drive_measured(&mut self, opening: Option<Opening>) -> anyhow::Result<()> {
        let plan = self.plan;
        self.witness.measure();
        self.meter.restart(self.clock.now())?;
        let begin = self.clock.now();
        let sent = self.drive(plan.duration, plan.events, opening, "measuring")?;
        let now = self.clock.now();
        self.read_costs();
        let Arrivals { answers, deliveries, bytes } = self.witness.arrivals;
        let time = now - begin;
        #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
        let bytes_per_delivery = bytes as f64 / deliveries.max(1) as f64;
        self.measured = Some(Measured {
            seconds: seconds(time),
            sent,
            answers,
            answers_per_second: per_second(answers, time),
            deliveries,
            deliveries_per_second: per_second(deliveries, time),
            bytes_per_delivery,
            generator_cores: self.meter.own_cores(now),
            answer_latency: None,
            delivery_latency: None,
            settle_latency: None,
            catch_up_latency: None,
        });
        Ok(())
    }

    /// Sends events for a while, and opens connections meanwhile. Returns how many it has sent.
    fn drive(
        &mut self,
        time: Duration,
        events: u64,
        mut opening: Option<Opening>,
        phase: &'static str,
    ) -> anyhow::Result<u64> {
        let begin = self.clock.now();
        let mut pacer =
            Pacer::new(self.plan.pace, self.plan.senders, begin, begin + micros(time), events);
        let mut free = std::mem::take(&mut self.witness.free);
        free.clear();
        loop {
            let now = self.clock.now();
            let mut wake = Micros::MAX;
            if let Some(opening) = &mut opening {
                wake = opening.step(now, &mut self.swarm, &mut self.witness);
            }
            let is_open = opening.as_ref().is_none_or(|opening| opening.is_over(&self.swarm));
            if pacer.is_over(now) && is_open {
                return Ok(pacer.sent());
            }
            free.append(&mut self.witness.free);
            let mut due = Vec::new();
            let is_settled = self.witness.ledger.is_settled();
            let step = pacer.step(now, is_settled, &mut free, |event| due.push(event));
            for event in due {
                self.send(event);
            }
            if let Some(settled) = step.settled {
                self.witness.settle.record(settled);
            }
            if !pacer.is_over(now) {
                wake = wake.min(step.wake);
            }
            self.turn(wake, phase)?;
        }
    }

    fn send(&mut self, due: Due) {
        let users = u32::try_from(self.plan.credentials.len()).unwrap_or(1);
        let audience = self.audience(due.sender, users);
        let event = self.witness.ledger.send(due.sender, audience, due.at);
        self.sent += 1;
        let stamp = Stamp { run: self.run, event, due: due.at };
        let name = |user: u32| {
            self.plan.credentials.get(user as usize).map_or("", |credential| &credential.user)
        };
        let target = match audience {
            Audience::User(user) => name(user),
            Audience::All | Audience::Sender => "",
        };
        let length = self.plan.message_length;
        let filling = Filling { stamp, length, target, user: name(due.sender % users.max(1)) };
        self.swarm.send(due.sender, |dialect, out| {
            let template = match audience {
                Audience::All => &dialect.broadcast,
                Audience::User(_) => &dialect.direct,
                Audience::Sender => &dialect.purchase,
            };
            dialect.event_packet(out, template, &filling);
        });
    }

    fn audience(&mut self, sender: u32, users: u32) -> Audience {
        let Mix { broadcast, direct, purchase } = self.plan.mix;
        let roll = self.dice.roll((broadcast + direct + purchase).max(1));
        if roll < broadcast {
            Audience::All
        } else if roll < broadcast + direct {
            Audience::User(self.target(sender, users))
        } else {
            Audience::Sender
        }
    }

    /// Another user, on another node if there are several.
    fn target(&mut self, sender: u32, users: u32) -> u32 {
        let (own, home) = (sender % users, self.swarm.node_of(sender));
        for _ in 0..16 {
            let user = self.dice.roll(users);
            let is_elsewhere = self.plan.nodes.len() < 2 || self.swarm.node_of(user) != home;
            if user != own && is_elsewhere {
                return user;
            }
        }
        (own + 1) % users
    }

    /// Cuts all but the senders off, lets them miss something, and lets them return.
    fn reconnect(&mut self) -> anyhow::Result<()> {
        let plan = self.plan;
        for number in plan.senders..plan.connections {
            self.swarm.close(number, false);
        }
        let mut missed = Pacer::new(
            crate::pace::Pace::InFlight(IN_FLIGHT_WHILE_AWAY),
            plan.senders,
            self.clock.now(),
            Micros::MAX,
            plan.missed.into(),
        );
        let end = self.clock.now() + micros(plan.duration) + micros(plan.grace);
        let mut free = Vec::new();
        while self.witness.ledger.has_unanswered() || !missed.is_over(self.clock.now()) {
            let now = self.clock.now();
            if now > end {
                anyhow::bail!("the events to be missed were not answered in time");
            }
            free.append(&mut self.witness.free);
            let mut due = Vec::new();
            missed.step(now, false, &mut free, |event| due.push(event));
            for event in due {
                self.send(event);
            }
            self.turn(end, "while others are away")?;
        }
        let first = self.witness.ledger.next_event();
        self.witness.expect_back(plan.connections, first, plan.missed);
        self.witness.connect.clear();
        let (begin, before) = (self.clock.now(), self.witness.counts.connected);
        let opening = self.opening(plan.senders, begin);
        self.drive_measured(Some(opening))?;
        self.connecting = Some(self.connecting_since(begin, before));
        Ok(())
    }

    /// Goes on for a while, or until it is done.
    fn wait(&mut self, time: Duration, is_done: impl Fn(&Witness) -> bool) -> io::Result<()> {
        let end = self.clock.now() + micros(time);
        while self.clock.now() < end && !is_done(&self.witness) {
            self.turn(end, "waiting")?;
        }
        Ok(())
    }

    fn turn(&mut self, wake: Micros, phase: &'static str) -> io::Result<()> {
        self.swarm.turn(wake, &mut self.witness)?;
        let now = self.clock.now();
        if self.progress.is_due(now) {
            self.progress.tell(now, phase, &self.swarm, &self.witness, self.sent);
        }
        if self.swarm.opening() > 0 && self.progress.is_impatient(now, micros(IMPATIENCE)) {
            self.swarm.give_up(self.plan.connect_timeout, &mut self.witness);
        }
        Ok(())
    }

    fn report(mut self) -> anyhow::Result<Report> {
        let plan = self.plan;
        let balance = self.witness.ledger.balance();
        let counts = self.witness.counts.clone();
        let mut verdict = Verdict {
            ok: false,
            sent: self.sent,
            accepted: balance.accepted,
            refused: balance.refused,
            unanswered: balance.unanswered,
            expected: balance.expected,
            delivered: self.witness.delivered,
            lost: balance.lost,
            doubled: counts.doubled,
            out_of_order: counts.out_of_order,
            misdirected: counts.misdirected,
            foreign: counts.foreign,
            not_connected: counts.not_connected,
            disconnected: counts.disconnected,
            recovered: counts.recovered,
            gaps: counts.gaps,
            reasons: counts.reasons,
        };
        verdict.ok = verdict.is_clean() && self.costs.is_some();
        if let Some(measured) = &mut self.measured {
            measured.answer_latency = self.witness.answer.summary();
            measured.delivery_latency = self.witness.delivery.summary();
            measured.settle_latency = self.witness.settle.summary();
            measured.catch_up_latency = self.witness.catch_up.summary();
        }
        let connect = match self.connecting {
            Some(connecting) => connecting,
            None => self.connecting_since(0, 0),
        };
        let mut servers = BTreeMap::new();
        if let Some(reading) = self.costs.take() {
            for (watched, cost) in plan.watched.iter().zip(reading.costs) {
                let cost = Cost::of(
                    watched,
                    &cost,
                    reading.time,
                    plan.connections,
                    self.measured.as_ref(),
                    &connect,
                );
                servers.insert(watched.label.clone(), cost);
            }
        }
        Ok(Report {
            scenario: plan.scenario.name().to_owned(),
            nodes: plan.nodes.iter().map(ToString::to_string).collect(),
            connections: plan.connections,
            users: plan.credentials.len(),
            connect,
            measured: self.measured,
            servers,
            verdict,
        })
    }
}
