//! How many connections there may be, and what each of them may do.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use game_realtime_domain::UserId;

use super::{
    rate::{Bucket, Rate},
    refusal::Refusal,
};

/// How many connections there may be on this node at once. 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Of one user.
    pub per_user: usize,
    /// From one address.
    pub per_address: usize,
    /// In all.
    pub per_node: usize,
}

/// What one connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// How often it may send an event, of whatever kind.
    pub rate: Rate,
    /// How many refused events are abuse; 0: none are...
    pub abuse_refusals: u32,
    /// ...if it sends them within so much time.
    pub abuse_window: Duration,
}

/// Gives out the places of a node.
pub struct Admission {
    caps: Caps,
    connection: ConnectionLimits,
    hasher: RandomState,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// By the hash of a holder, which is smaller than most of them. That two have the same is so
    /// rare that they may share a cap.
    held: HashMap<u64, usize>,
}

/// Who holds places.
#[derive(Hash)]
enum Holder<'a> {
    User(&'a UserId),
    Address(IpAddr),
}

impl Admission {
    /// All places are free.
    #[must_use]
    pub fn new(caps: Caps, connection: ConnectionLimits) -> Self {
        Self { caps, connection, hasher: RandomState::new(), taken: Mutex::default() }
    }

    /// Neither caps nor limits.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(
            Caps { per_user: 0, per_address: 0, per_node: 0 },
            ConnectionLimits {
                rate: Rate::UNLIMITED,
                abuse_refusals: 0,
                abuse_window: Duration::ZERO,
            },
        )
    }

    /// Gives a place to a client at `address`, whoever it is.
    ///
    /// # Errors
    /// The cap that is reached.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Seat, Refusal> {
        let address = self.hasher.hash_one(Holder::Address(address));
        let mut taken = self.lock();
        if is_reached(self.caps.per_node, taken.all) {
            return Err(Refusal::NodeConnections);
        }
        if is_reached(self.caps.per_address, taken.held_by(address)) {
            return Err(Refusal::AddressConnections);
        }
        taken.all += 1;
        taken.add(address);
        Ok(Seat {
            admission: Arc::clone(self),
            address,
            user: None,
            budget: Bucket::new(self.connection.rate),
            patience: OnceLock::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn held_by(&self, holder: u64) -> usize {
        self.held.get(&holder).copied().unwrap_or_default()
    }

    fn add(&mut self, holder: u64) {
        *self.held.entry(holder).or_default() += 1;
    }

    fn remove(&mut self, holder: u64) {
        if let Entry::Occupied(mut held) = self.held.entry(holder) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

fn is_reached(cap: usize, taken: usize) -> bool {
    cap > 0 && taken >= cap
}

/// The place of one connection, free again when dropped, and what the connection has left of its
/// limits.
pub struct Seat {
    admission: Arc<Admission>,
    address: u64,
    user: Option<u64>,
    budget: Bucket,
    /// Most connections are never refused anything.
    patience: OnceLock<Box<Bucket>>,
}

impl Seat {
    /// Says who the client is.
    ///
    /// # Errors
    /// The cap that is reached.
    pub(crate) fn claim(&mut self, user: &UserId) -> Result<(), Refusal> {
        let user = self.admission.hasher.hash_one(Holder::User(user));
        let mut taken = self.admission.lock();
        if is_reached(self.admission.caps.per_user, taken.held_by(user)) {
            return Err(Refusal::UserConnections);
        }
        taken.add(user);
        self.user = Some(user);
        Ok(())
    }

    /// Takes an event, of whatever kind, out of the connection's budget, if there is room.
    #[must_use]
    pub fn take(&self) -> bool {
        self.budget.take()
    }

    /// Notes that an event was refused for a limit. Whether there have been so many that it is
    /// abuse.
    #[must_use]
    pub fn is_abused(&self) -> bool {
        let ConnectionLimits { abuse_refusals, abuse_window, .. } = self.admission.connection;
        let patience = || Box::new(Bucket::within(abuse_refusals, abuse_window));
        !self.patience.get_or_init(patience).take()
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Seat").finish_non_exhaustive()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.admission.lock();
        taken.all -= 1;
        taken.remove(self.address);
        if let Some(user) = self.user {
            taken.remove(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn admission(per_user: usize, per_address: usize, per_node: usize) -> Arc<Admission> {
        let Admission { connection, .. } = Admission::unlimited();
        Arc::new(Admission::new(Caps { per_user, per_address, per_node }, connection))
    }

    #[test]
    fn each_cap_holds_and_a_dropped_seat_is_free_again() {
        let alice = UserId::parse("alice").unwrap();
        let bob = UserId::parse("bob").unwrap();
        let admission = admission(1, 2, 3);
        let mut first = admission.enter(HERE).unwrap();
        first.claim(&alice).unwrap();
        let mut second = admission.enter(HERE).unwrap();
        assert_eq!(second.claim(&alice), Err(Refusal::UserConnections));
        second.claim(&bob).unwrap();
        assert_eq!(admission.enter(HERE).err(), Some(Refusal::AddressConnections));
        let third = admission.enter(THERE).unwrap();
        assert_eq!(admission.enter(THERE).err(), Some(Refusal::NodeConnections));
        drop(first);
        let mut again = admission.enter(HERE).unwrap();
        again.claim(&alice).unwrap();
        drop((second, third, again));
        let taken = admission.lock();
        assert_eq!((taken.all, taken.held.len()), (0, 0));
    }

    #[test]
    fn a_seat_is_small() {
        assert!(size_of::<Seat>() <= 100, "{} bytes", size_of::<Seat>());
    }

    #[test]
    fn without_caps_everybody_enters() {
        let admission = admission(0, 0, 0);
        let alice = UserId::parse("alice").unwrap();
        let seats: Vec<Seat> = (0..1000)
            .map(|_| {
                let mut seat = admission.enter(HERE).unwrap();
                seat.claim(&alice).unwrap();
                seat
            })
            .collect();
        assert!(seats.iter().all(|seat| seat.take() && !seat.is_abused()));
    }
}
