//! Clients that mean harm, or that nobody taught better: the right answer or a closed socket, never
//! at the expense of others.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests may fail")]

mod abuse;
mod caps;
mod descriptors;
mod fuzz;
mod honest;
mod in_flight;
mod packets;
mod rates;
mod requests;
mod slow;
mod slow_consumers;
