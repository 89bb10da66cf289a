//! What a client remembers from one connection to the next.

use std::sync::Mutex;

use game_realtime_application::ports::Appended;

use crate::{random::Random, request::Request};

#[derive(Default)]
pub(crate) struct Memory(Mutex<State>);

#[derive(Default)]
struct State {
    sent: u64,
    in_flight: usize,
    /// Whether it is connected and ready.
    ready: bool,
    /// The last cursor, and one from long ago.
    cursor: Option<String>,
    old_cursor: Option<String>,
    /// Requests that may have been carried out or not.
    unsure: Vec<Request>,
    /// The last request known to be carried out.
    done: Option<(Request, Appended)>,
}

/// What it comes back with.
#[derive(Debug, Clone)]
pub(crate) enum Resumed {
    Fresh,
    /// A cursor that it was given.
    Genuine(String),
    /// One that it was not.
    Nonsense(String),
}

impl Resumed {
    pub(crate) fn cursor(&self) -> Option<&str> {
        match self {
            Self::Fresh => None,
            Self::Genuine(cursor) | Self::Nonsense(cursor) => Some(cursor),
        }
    }
}

impl Memory {
    pub(crate) fn resume(&self, random: &Random) -> Resumed {
        let state = self.0.lock().unwrap();
        let Some(cursor) = state.cursor.clone() else { return Resumed::Fresh };
        match random.below(20) {
            0 => Resumed::Fresh,
            1 => Resumed::Nonsense(
                (*random.pick(&["", "nonsense", "simulated:1", "simulated:01.0", "\u{0}:1.1"]))
                    .into(),
            ),
            2 => Resumed::Nonsense("elsewhere:1.1".into()),
            3 => Resumed::Nonsense(format!("simulated:{}.1", 1_000_000 + random.below(1000))),
            4..=6 => Resumed::Genuine(state.old_cursor.clone().unwrap_or(cursor)),
            _ => Resumed::Genuine(cursor),
        }
    }

    pub(crate) fn has_come_to(&self, cursor: String, random: &Random) {
        let mut state = self.0.lock().unwrap();
        if state.old_cursor.is_none() || random.chance(5) {
            state.old_cursor = Some(cursor.clone());
        }
        state.cursor = Some(cursor);
    }

    /// The number of the next request.
    pub(crate) fn next_number(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        state.sent += 1;
        state.sent
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.0.lock().unwrap().ready = ready;
    }

    pub(crate) fn begin(&self) {
        self.0.lock().unwrap().in_flight += 1;
    }

    pub(crate) fn finish(&self) {
        self.0.lock().unwrap().in_flight -= 1;
    }

    pub(crate) fn is_unsure_of(&self, request: Request) {
        self.0.lock().unwrap().unsure.push(request);
    }

    pub(crate) fn take_unsure(&self) -> Option<Request> {
        self.0.lock().unwrap().unsure.pop()
    }

    /// Forgets what only the last connection could have asked again.
    pub(crate) fn forget_requests(&self) {
        let mut state = self.0.lock().unwrap();
        state.unsure.clear();
        state.done = None;
    }

    pub(crate) fn is_done(&self, request: Request, appended: Appended) {
        self.0.lock().unwrap().done = Some((request, appended));
    }

    pub(crate) fn done(&self) -> Option<(Request, Appended)> {
        self.0.lock().unwrap().done.clone()
    }

    /// Connected, and nothing is open.
    pub(crate) fn is_settled(&self) -> bool {
        let state = self.0.lock().unwrap();
        state.ready && state.in_flight == 0 && state.unsure.is_empty()
    }
}
