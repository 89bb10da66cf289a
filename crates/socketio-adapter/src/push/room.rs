//! Whether the library's queue takes more, and what became of what was sent through it.

use std::cell::Cell;

use game_realtime_application::ports::PushOutcome;
use serde::{Serialize, Serializer, ser};
use socketioxide::{SendError, SocketError, socket::Socket};

/// What became of a packet.
pub(super) fn outcome(sent: &Result<(), SendError>) -> PushOutcome {
    match sent {
        Ok(()) => PushOutcome::Taken,
        Err(SendError::Socket(SocketError::InternalChannelFull)) => PushOutcome::Full,
        Err(SendError::Socket(SocketError::Closed) | SendError::Serialize(_)) => PushOutcome::Gone,
    }
}

/// What it means that a socket has no room: it is full, or closed.
pub(super) fn no_room(socket: &Socket) -> PushOutcome {
    if socket.connected() { PushOutcome::Full } else { PushOutcome::Gone }
}

/// How many places in the library's queue events leave to answers and heartbeats: a ping that finds
/// it full ends the session.
pub(super) const RESERVED_BY_EVENTS: usize = 2;
/// How many places answers leave to heartbeats.
pub(super) const RESERVED_BY_ANSWERS: usize = 1;

/// Whether the library's queue has room for more than `reserved` packets. The library does not
/// tell; but an emit takes its place in the queue before it serializes its argument and gives it
/// back if that fails. So arguments that fail to serialize, nested, count free places and send
/// nothing.
pub(super) fn has_room(socket: &Socket, reserved: usize) -> bool {
    struct Place<'a> {
        socket: &'a Socket,
        more: usize,
        room: &'a Cell<bool>,
    }

    impl Serialize for Place<'_> {
        fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
            match self.more.checked_sub(1) {
                None => self.room.set(true),
                Some(more) => {
                    let place = Place { socket: self.socket, more, room: self.room };
                    // It always fails; what counts is how deep it got.
                    self.socket.emit("", &place).ok();
                }
            }
            Err(ser::Error::custom("only the place was wanted"))
        }
    }

    let room = Cell::new(false);
    socket.emit("", &Place { socket, more: reserved, room: &room }).ok();
    room.get()
}
