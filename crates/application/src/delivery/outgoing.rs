//! An event on its way out: encoded once per packet format, however many recipients there are.

use std::{any::Any, sync::OnceLock};

use game_realtime_domain::{Cursor, Epoch, Position};

use crate::record::PositionedEvent;

/// Names one way of encoding events into packets. A transport picks the numbers of its own
/// formats, below [`PacketFormat::COUNT`]; two transports in one process must not share any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketFormat(pub u8);

impl PacketFormat {
    /// How many formats there can be.
    pub const COUNT: usize = 4;
}

/// A committed event with its cursor and the packets made of it so far.
pub struct OutgoingEvent {
    event: PositionedEvent,
    cursor: String,
    packets: [OnceLock<Box<dyn Any + Send + Sync>>; PacketFormat::COUNT],
}

impl OutgoingEvent {
    /// What an event costs besides its payload, roughly: ids, route, cursor and bookkeeping.
    const OVERHEAD: usize = 512;

    /// Prepares an event of the history `epoch` for delivery.
    #[must_use]
    pub fn new(event: PositionedEvent, epoch: &Epoch) -> Self {
        let cursor = Cursor { epoch: epoch.clone(), position: event.position }.to_string();
        Self { event, cursor, packets: Default::default() }
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &PositionedEvent {
        &self.event
    }

    /// Its place in the order.
    #[must_use]
    pub fn position(&self) -> Position {
        self.event.position
    }

    /// The cursor of a client that has seen it.
    #[must_use]
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The packet in a format, encoded by `encode` the first time it is asked for. `None` if the
    /// format is out of range or in use for packets of another type.
    pub fn packet<T: Any + Send + Sync>(
        &self,
        format: PacketFormat,
        encode: impl FnOnce(&Self) -> T,
    ) -> Option<&T> {
        let slot = self.packets.get(usize::from(format.0))?;
        slot.get_or_init(|| Box::new(encode(self))).downcast_ref()
    }

    /// What it is taken to cost in memory.
    #[must_use]
    pub fn cost(&self) -> usize {
        Self::cost_of(&self.event)
    }

    /// What an event is taken to cost in memory: its payload, and as much again for one packet.
    #[must_use]
    pub fn cost_of(event: &PositionedEvent) -> usize {
        Self::OVERHEAD + 2 * event.event.payload.json.len()
    }
}

impl std::fmt::Debug for OutgoingEvent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OutgoingEvent").field("event", &self.event).finish_non_exhaustive()
    }
}
