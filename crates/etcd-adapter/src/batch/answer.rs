//! What etcd's answer to a transaction says of an event in it.

use etcd_client::{GetResponse, TxnOpResponse};
use game_realtime_application::{
    NewEvent,
    ports::{AppendError, Appended},
};
use game_realtime_domain::{Cursor, Epoch, Position};
use uuid::Uuid;

use crate::records;

/// What became of an event, and of what request.
pub(super) struct Committed {
    pub(super) appended: Appended,
    /// Of the request that was committed.
    pub(super) fingerprint: Uuid,
}

impl Committed {
    /// The answer to a request, which may be another one under the same `request_id`.
    pub(super) fn answer(
        &self,
        fingerprint: Uuid,
        duplicate: bool,
    ) -> Result<Appended, AppendError> {
        if self.fingerprint != fingerprint {
            return Err(AppendError::IdempotencyConflict);
        }
        Ok(Appended { duplicate, ..self.appended.clone() })
    }
}

/// A receipt that cannot be read: whether the request was committed is not known.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct UnreadableReceipt(String);

/// What a part of the answer says of an event.
pub(super) fn committed(
    new: &NewEvent,
    index: u16,
    revision: u64,
    epoch: &Epoch,
    part: Vec<TxnOpResponse>,
) -> Result<Committed, UnreadableReceipt> {
    let mut responses = part;
    let mut receipt = None;
    if let [TxnOpResponse::Txn(nested)] = responses.as_slice() {
        let first_time = nested.succeeded();
        responses = nested.op_responses();
        if !first_time {
            receipt = responses.first().and_then(get).and_then(|get| get.kvs().first().cloned());
        }
    }
    let count = new.presence_of.is_some().then(|| responses.last().and_then(get)).flatten();
    let recipient_connections = count.and_then(|get| u64::try_from(get.count()).ok());
    let Some(receipt_pair) = receipt else {
        return Ok(Committed {
            appended: Appended {
                event_id: new.event.id,
                cursor: cursor(epoch, revision, u32::from(index)),
                created_at: new.event.created_at,
                duplicate: false,
                recipient_connections,
            },
            fingerprint: new.receipt.as_ref().map(|own| own.fingerprint).unwrap_or_default(),
        });
    };
    let first = records::decode_receipt(receipt_pair.value())
        .map_err(|error| UnreadableReceipt(error.to_string()))?;
    let created_in = u64::try_from(receipt_pair.create_revision()).unwrap_or_default();
    Ok(Committed {
        appended: Appended {
            event_id: first.event_id(),
            cursor: cursor(epoch, created_in, first.place),
            created_at: first.created_at(),
            duplicate: true,
            recipient_connections,
        },
        fingerprint: first.fingerprint,
    })
}

fn cursor(epoch: &Epoch, revision: u64, index: u32) -> Cursor {
    Cursor { epoch: epoch.clone(), position: Position::new(revision, index) }
}

fn get(response: &TxnOpResponse) -> Option<&GetResponse> {
    match response {
        TxnOpResponse::Get(get) => Some(get),
        TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
    }
}
