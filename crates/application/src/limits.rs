//! What one client may take of this node: how often, and how many places.
//!
//! Nodes share nothing for this: a limit holds on each node by itself. That of a connection is
//! exact, since a connection is on one node; a user who spreads over N nodes has N budgets.

mod admission;
mod event_budgets;
mod in_flight;
mod rate;
mod refusal;

pub use admission::{Admission, Caps, ConnectionLimits, Seat};
pub use event_budgets::{EventBudgets, EventRates};
pub use in_flight::{InFlight, InFlightPermit};
pub use rate::{Buckets, Rate};
pub use refusal::Refusal;
