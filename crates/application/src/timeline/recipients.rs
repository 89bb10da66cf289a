//! Which events of a timeline concern whom, so that a connection that was away is found its events
//! without a look at those of others.

use std::collections::{HashMap, VecDeque};

use game_realtime_domain::{Connection, Namespace, Recipient, Route};

use super::memory::heap;

/// Events by recipient. An event is named by its number: the how manieth of the timeline it is, the
/// ones that are gone included.
#[derive(Debug, Default)]
pub(super) struct Recipients {
    private: VecDeque<u64>,
    guest: VecDeque<u64>,
    /// No list is empty.
    others: HashMap<Recipient, Numbers>,
    bytes: usize,
}

/// Ascending numbers. Most recipients have one event.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "the table stays small: most recipients have one event")]
enum Numbers {
    One(u64),
    Many(Box<VecDeque<u64>>),
}

/// What an entry of a list takes: eight bytes, in a list that doubles when it is full.
const ENTRY: usize = 12;
/// What a recipient takes besides its name: an entry in a table that doubles, which holds the first
/// number as well.
const RECIPIENT: usize = 64 - ENTRY;
/// What the list of a recipient with several events takes, but for its entries.
const LIST: usize = heap(size_of::<VecDeque<u64>>());

impl Recipients {
    /// The memory that an event on this route takes here, if it is not the first of its recipients.
    pub(super) fn cost_of(route: &Route) -> usize {
        match route {
            Route::Namespace(_) | Route::One(_) => ENTRY,
            Route::Two(_, _) => 2 * ENTRY,
        }
    }

    /// The memory that its recipients take, without their events.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event, which is newer than all before.
    pub(super) fn add(&mut self, route: &Route, number: u64) {
        match route {
            Route::Namespace(namespace) => self.namespace_mut(*namespace).push_back(number),
            Route::One(recipient) => self.add_to(recipient, number),
            Route::Two(first, second) => {
                self.add_to(first, number);
                self.add_to(second, number);
            }
        }
    }

    /// Removes the oldest event.
    pub(super) fn remove_oldest(&mut self, route: &Route) {
        match route {
            Route::Namespace(namespace) => {
                self.namespace_mut(*namespace).pop_front();
            }
            Route::One(recipient) => self.remove_oldest_of(recipient),
            Route::Two(first, second) => {
                self.remove_oldest_of(first);
                self.remove_oldest_of(second);
            }
        }
    }

    /// The events from number `start` on that concern a connection.
    pub(super) fn since(&self, connection: &Connection, start: u64) -> Since<'_> {
        let namespace = match connection.namespace {
            Namespace::Private => &self.private,
            Namespace::Guest => &self.guest,
        };
        let user = connection.user_id.clone().map(Recipient::User);
        let user = user.and_then(|user| self.others.get(&user));
        let own = self.others.get(&Recipient::Connection(connection.id));
        Since {
            namespace: Rest::of(List::Many(namespace), start),
            user: Rest::of(user.map_or(List::None, Numbers::list), start),
            own: Rest::of(own.map_or(List::None, Numbers::list), start),
        }
    }

    fn namespace_mut(&mut self, namespace: Namespace) -> &mut VecDeque<u64> {
        match namespace {
            Namespace::Private => &mut self.private,
            Namespace::Guest => &mut self.guest,
        }
    }

    fn add_to(&mut self, recipient: &Recipient, number: u64) {
        if let Some(numbers) = self.others.get_mut(recipient) {
            self.bytes += numbers.push(number);
            return;
        }
        self.bytes += Self::recipient_cost(recipient);
        self.others.insert(recipient.clone(), Numbers::One(number));
    }

    fn remove_oldest_of(&mut self, recipient: &Recipient) {
        let Some(numbers) = self.others.get_mut(recipient) else { return };
        if numbers.pop() {
            return;
        }
        let list = match self.others.remove(recipient) {
            Some(Numbers::Many(_)) => LIST,
            Some(Numbers::One(_)) | None => 0,
        };
        self.bytes -= Self::recipient_cost(recipient) + list;
        // A crowd that is gone for good takes its memory with it.
        let (held, room) = (self.others.len(), self.others.capacity());
        if room > 1024 && held < room / 4 {
            self.others.shrink_to(held * 2);
        }
    }

    fn recipient_cost(recipient: &Recipient) -> usize {
        RECIPIENT
            + match recipient {
                Recipient::User(user_id) => heap(user_id.as_str().len()),
                Recipient::Connection(_) => 0,
            }
    }
}

impl Numbers {
    /// Adds one. Returns what the list takes, if there was none before.
    fn push(&mut self, number: u64) -> usize {
        match self {
            Self::One(first) => {
                *self = Self::Many(Box::new([*first, number].into()));
                LIST
            }
            Self::Many(numbers) => {
                numbers.push_back(number);
                0
            }
        }
    }

    /// Removes the first; whether any are left.
    fn pop(&mut self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Many(numbers) => {
                numbers.pop_front();
                !numbers.is_empty()
            }
        }
    }

    fn list(&self) -> List<'_> {
        match self {
            Self::One(number) => List::One(*number),
            Self::Many(numbers) => List::Many(numbers),
        }
    }
}

/// Numbers in ascending order.
#[derive(Clone, Copy)]
enum List<'a> {
    None,
    One(u64),
    Many(&'a VecDeque<u64>),
}

/// What is left of a list.
#[derive(Clone, Copy)]
struct Rest<'a> {
    list: List<'a>,
    next: usize,
}

impl<'a> Rest<'a> {
    fn of(list: List<'a>, start: u64) -> Self {
        let next = match list {
            List::None => 0,
            List::One(number) => usize::from(number < start),
            List::Many(numbers) => numbers.partition_point(|number| *number < start),
        };
        Self { list, next }
    }

    fn len(self) -> usize {
        let all = match self.list {
            List::None => 0,
            List::One(_) => 1,
            List::Many(numbers) => numbers.len(),
        };
        all - self.next
    }

    fn peek(self) -> Option<u64> {
        match self.list {
            List::None => None,
            List::One(number) => (self.next == 0).then_some(number),
            List::Many(numbers) => numbers.get(self.next).copied(),
        }
    }

    fn holds(self, number: u64) -> bool {
        match self.list {
            List::None => false,
            List::One(only) => only == number,
            List::Many(numbers) => numbers.binary_search(&number).is_ok(),
        }
    }
}

/// The numbers of the events that concern one connection, each once, in ascending order.
pub(super) struct Since<'a> {
    namespace: Rest<'a>,
    user: Rest<'a>,
    own: Rest<'a>,
}

impl Since<'_> {
    /// How many there are.
    pub(super) fn number(&self) -> usize {
        // An event may be addressed to a player and, by its id, to a connection of the same player.
        // Few are addressed to a connection.
        let mut own = self.own;
        let mut twice = 0;
        while let Some(number) = own.peek() {
            own.next += 1;
            twice += usize::from(self.user.holds(number));
        }
        self.namespace.len() + self.user.len() + self.own.len() - twice
    }
}

impl Iterator for Since<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let rests = [&mut self.namespace, &mut self.user, &mut self.own];
        let next = rests.iter().filter_map(|rest| rest.peek()).min()?;
        for rest in rests {
            if rest.peek() == Some(next) {
                rest.next += 1;
            }
        }
        Some(next)
    }
}
