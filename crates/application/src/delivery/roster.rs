//! The connections of this node, found by what an event can be addressed to.

use std::{collections::HashMap, sync::Arc};

use game_realtime_domain::{
    Connection, ConnectionId, Namespace, Position, Recipient, Route, UserId,
};

use crate::ports::ClientPush;

/// Every member is found by its id; live ones also by namespace, in a dense list, because that is
/// what a broadcast walks.
#[derive(Default)]
pub(super) struct Roster {
    members: HashMap<ConnectionId, Member>,
    users: HashMap<UserId, Vec<ConnectionId>>,
    private: Vec<Seat>,
    guest: Vec<Seat>,
}

struct Member {
    connection: Connection,
    push: Arc<dyn ClientPush>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// Sits in its namespace's list, at this index.
    Live(usize),
    Behind(Position),
}

struct Seat {
    id: ConnectionId,
    push: Arc<dyn ClientPush>,
}

/// Where a member stands.
pub(super) struct Place<'a> {
    pub(super) connection: &'a Connection,
    /// `None` if it is live.
    pub(super) behind: Option<Position>,
}

impl Roster {
    /// Adds a member that is behind at `position`.
    pub(super) fn add(
        &mut self,
        connection: Connection,
        push: Arc<dyn ClientPush>,
        position: Position,
    ) {
        let id = connection.id;
        self.remove(id);
        if let Some(user_id) = &connection.user_id {
            self.users.entry(user_id.clone()).or_insert_with(|| Vec::with_capacity(1)).push(id);
        }
        self.members.insert(id, Member { connection, push, state: State::Behind(position) });
    }

    pub(super) fn remove(&mut self, id: ConnectionId) {
        self.stand_up(id);
        let Some(member) = self.members.remove(&id) else { return };
        let Some(user_id) = member.connection.user_id else { return };
        if let Some(connections) = self.users.get_mut(&user_id) {
            connections.retain(|other| *other != id);
            if connections.is_empty() {
                self.users.remove(&user_id);
            }
        }
    }

    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// How many of them are behind.
    pub(super) fn behind(&self) -> usize {
        self.members.len().saturating_sub(self.private.len() + self.guest.len())
    }

    /// Removes some: those with the lowest ids.
    pub(super) fn take(&mut self, most: usize) -> Vec<Arc<dyn ClientPush>> {
        let mut ids: Vec<_> = self.members.keys().copied().collect();
        if most < ids.len() {
            ids.select_nth_unstable(most);
            ids.truncate(most);
        }
        ids.sort_unstable();
        ids.into_iter()
            .filter_map(|id| {
                let push = self.push_of(id);
                self.remove(id);
                push
            })
            .collect()
    }

    /// Removes everybody. By ascending id, because a map's own order is random.
    pub(super) fn clear(&mut self) -> Vec<Arc<dyn ClientPush>> {
        let mut members: Vec<_> = std::mem::take(self).members.into_iter().collect();
        members.sort_unstable_by_key(|(id, _)| *id);
        members.into_iter().map(|(_, member)| member.push).collect()
    }

    pub(super) fn place(&self, id: ConnectionId) -> Option<Place<'_>> {
        let member = self.members.get(&id)?;
        let behind = match member.state {
            State::Live(_) => None,
            State::Behind(position) => Some(position),
        };
        Some(Place { connection: &member.connection, behind })
    }

    pub(super) fn push_of(&self, id: ConnectionId) -> Option<Arc<dyn ClientPush>> {
        self.members.get(&id).map(|member| Arc::clone(&member.push))
    }

    pub(super) fn go_live(&mut self, id: ConnectionId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if matches!(member.state, State::Live(_)) {
            return;
        }
        let seats = match member.connection.namespace {
            Namespace::Private => &mut self.private,
            Namespace::Guest => &mut self.guest,
        };
        member.state = State::Live(seats.len());
        seats.push(Seat { id, push: Arc::clone(&member.push) });
    }

    /// Makes a member behind at `position`, live or not.
    pub(super) fn fall_behind(&mut self, id: ConnectionId, position: Position) {
        self.stand_up(id);
        if let Some(member) = self.members.get_mut(&id) {
            member.state = State::Behind(position);
        }
    }

    /// Calls `visit` once for every live member on the route.
    pub(super) fn for_each_live(
        &self,
        route: &Route,
        mut visit: impl FnMut(ConnectionId, &Arc<dyn ClientPush>),
    ) {
        match route {
            Route::Namespace(namespace) => {
                let seats = match namespace {
                    Namespace::Private => &self.private,
                    Namespace::Guest => &self.guest,
                };
                for seat in seats {
                    visit(seat.id, &seat.push);
                }
            }
            Route::One(recipient) => self.visit_recipient(recipient, &mut visit),
            Route::Two(first, second) => {
                self.visit_recipient(first, &mut visit);
                // A connection can be on both sides of a route only if a user's connection is
                // also addressed by its id.
                self.visit_recipient(second, &mut |id, push| {
                    let seen = self.members.get(&id).is_some_and(|m| first.is(&m.connection));
                    if !seen {
                        visit(id, push);
                    }
                });
            }
        }
    }

    fn visit_recipient(
        &self,
        recipient: &Recipient,
        visit: &mut dyn FnMut(ConnectionId, &Arc<dyn ClientPush>),
    ) {
        let ids = match recipient {
            Recipient::User(user_id) => self.users.get(user_id).map_or(&[][..], Vec::as_slice),
            Recipient::Connection(id) => std::slice::from_ref(id),
        };
        for id in ids {
            match self.members.get(id) {
                Some(Member { push, state: State::Live(_), .. }) => visit(*id, push),
                Some(Member { state: State::Behind(_), .. }) | None => {}
            }
        }
    }

    /// Takes a live member out of its namespace's list.
    fn stand_up(&mut self, id: ConnectionId) {
        let Some(member) = self.members.get(&id) else { return };
        let State::Live(index) = member.state else { return };
        let seats = match member.connection.namespace {
            Namespace::Private => &mut self.private,
            Namespace::Guest => &mut self.guest,
        };
        seats.swap_remove(index);
        let moved = seats.get(index).map(|seat| seat.id);
        if let Some(moved) = moved.and_then(|id| self.members.get_mut(&id)) {
            moved.state = State::Live(index);
        }
    }
}
