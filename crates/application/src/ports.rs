//! What the use cases need from the world. Each port's documentation is its contract; every MUST
//! is a test in `tests/contract` that each implementation has to pass.

mod client_push;
mod clock;
mod connection_repository;
mod event_feed;
mod event_repository;
mod identity_verifier;
mod kick_orders;
mod store_error;
mod store_health;
mod tracer;

pub use client_push::{ClientPush, CloseReason, ConnectionGone, PushOutcome};
pub use clock::{Clock, IdGenerator};
pub use connection_repository::ConnectionRepository;
pub use event_feed::{EventFeed, FeedStream, FeedUpdate, FollowError, History};
pub use event_repository::{AppendError, Appended, EventRepository, Listing};
pub use identity_verifier::{
    Credentials, Identity, IdentityVerifier, RefusedIdentity, VerifyError,
};
pub use kick_orders::KickOrders;
pub use store_error::{StoreError, StoreErrorKind};
pub use store_health::StoreHealth;
pub use tracer::{RecordedSpan, SpanKind, SpanParent, SpanValue, Tracer};
