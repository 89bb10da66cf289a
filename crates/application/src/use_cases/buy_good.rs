//! Buy something.

use std::sync::Arc;

use game_realtime_domain::{self as domain, Author, BuyGoodCommand};
use garde::Valid;

use super::{PublishError, Publisher};
use crate::ports::Appended;

/// Publishes a purchase.
pub struct BuyGood {
    publisher: Arc<Publisher>,
}

impl BuyGood {
    /// The use case on a publisher.
    #[must_use]
    pub fn new(publisher: Arc<Publisher>) -> Self {
        Self { publisher }
    }

    /// Commits the purchase. A purchase has a buyer: a guest's is forbidden, and the system's,
    /// whatever a namespace may send.
    ///
    /// # Errors
    /// [`PublishError`]; after [`PublishError::Store`] it may have been committed.
    pub async fn execute(
        &self,
        buyer: Author<'_>,
        command: Valid<BuyGoodCommand>,
    ) -> Result<Appended, PublishError> {
        if buyer.user_id().is_none() {
            return Err(PublishError::Forbidden);
        }
        let BuyGoodCommand { good_id, count, request_id } = command.into_inner();
        self.publisher.publish(buyer, domain::BuyGood { good_id, count }, request_id).await
    }
}
