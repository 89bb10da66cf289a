//! An event on its way out: encoded once per packet format, however many recipients there are.

use std::{
    any::Any,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use game_realtime_domain::{Cursor, Epoch, Position, Recipient, Route, UserId};

use crate::{
    record::PositionedEvent,
    timeline::memory::{COUNTS, heap},
};

/// Names one way of encoding events into packets. A transport picks the numbers of its own
/// formats; two transports in one process must not share any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketFormat(pub u8);

/// What the events of one timeline have in common.
#[derive(Debug)]
pub(crate) struct Lineage {
    epoch: Epoch,
    /// What the packets of the timeline's events take.
    packet_bytes: AtomicUsize,
}

impl Lineage {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { epoch, packet_bytes: AtomicUsize::new(0) }
    }

    pub(crate) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    pub(crate) fn packet_bytes(&self) -> usize {
        self.packet_bytes.load(Ordering::Relaxed)
    }
}

/// A committed event and the packets made of it so far. There are hundreds of thousands of them, so
/// what can be had otherwise is not part of it.
pub struct OutgoingEvent {
    event: PositionedEvent,
    lineage: Arc<Lineage>,
    packets: OnceLock<Box<Packet>>,
    /// What its packets take, as far as the timeline counts them; [`RELEASED`](Self::RELEASED) once
    /// it no longer does.
    packet_bytes: AtomicUsize,
}

/// One packet, and those in other formats: there is rarely more than one.
struct Packet {
    format: PacketFormat,
    packet: Box<dyn Any + Send + Sync>,
    next: OnceLock<Box<Packet>>,
}

impl OutgoingEvent {
    /// Stands for the packets of an event that has left its timeline.
    const RELEASED: usize = usize::MAX;

    /// Prepares an event of a timeline for delivery.
    pub(crate) fn new(event: PositionedEvent, lineage: Arc<Lineage>) -> Self {
        Self { event, lineage, packets: OnceLock::new(), packet_bytes: AtomicUsize::new(0) }
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
    pub fn cursor(&self) -> String {
        let epoch = self.lineage.epoch.clone();
        Cursor { epoch, position: self.event.position }.to_string()
    }

    /// The packet in a format, encoded by `encode` the first time it is asked for (twice if two tasks
    /// ask at the same moment; the first one is kept). `encode` also says how many bytes the packet
    /// holds on the heap. `None` if the format is in use for packets of another type.
    pub fn packet<T: Any + Send + Sync>(
        &self,
        format: PacketFormat,
        encode: impl FnOnce(&Self) -> (T, usize),
    ) -> Option<&T> {
        let mut slot = &self.packets;
        while let Some(there) = slot.get() {
            if there.format == format {
                return there.packet.downcast_ref();
            }
            slot = &there.next;
        }
        let (packet, held) = encode(self);
        let bytes = heap(size_of::<Packet>()) + heap(size_of::<T>()) + heap(held);
        let mut made = Box::new(Packet { format, packet: Box::new(packet), next: OnceLock::new() });
        loop {
            match slot.set(made) {
                Ok(()) => {
                    self.count(bytes);
                    return slot.get()?.packet.downcast_ref();
                }
                Err(late) => {
                    let there = slot.get()?;
                    if there.format == format {
                        return there.packet.downcast_ref();
                    }
                    slot = &there.next;
                    made = late;
                }
            }
        }
    }

    /// Counts a packet as memory of the timeline, as long as the event is part of it.
    fn count(&self, bytes: usize) {
        // First there, so that what is released was always counted.
        self.lineage.packet_bytes.fetch_add(bytes, Ordering::Relaxed);
        let counted = self.packet_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| {
            (it != Self::RELEASED).then(|| it + bytes)
        });
        if counted.is_err() {
            self.lineage.packet_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Stops counting it: the timeline no longer holds it, and other holders drop it soon.
    pub(crate) fn release(&self) {
        let counted = self.packet_bytes.swap(Self::RELEASED, Ordering::Relaxed);
        if counted != Self::RELEASED {
            self.lineage.packet_bytes.fetch_sub(counted, Ordering::Relaxed);
        }
    }

    /// The memory that an event takes, without packets.
    pub(crate) fn cost_of(event: &PositionedEvent) -> usize {
        let name = |user_id: &UserId| heap(user_id.as_str().len());
        let recipient = |recipient: &Recipient| match recipient {
            Recipient::User(user_id) => name(user_id),
            Recipient::Connection(_) => 0,
        };
        let route = match &event.route {
            Route::Namespace(_) => 0,
            Route::One(only) => recipient(only),
            Route::Two(first, second) => recipient(first) + recipient(second),
        };
        heap(COUNTS + size_of::<Self>())
            + heap(COUNTS + event.event.payload.json.len())
            + event.event.sender.user_id.as_ref().map_or(0, name)
            + route
    }
}

impl std::fmt::Debug for OutgoingEvent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OutgoingEvent").field("event", &self.event).finish_non_exhaustive()
    }
}
