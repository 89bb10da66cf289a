//! The body of a request, within bounds of size and time.

use std::time::Duration;

use http::{HeaderMap, header::EXPECT};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes};
use tokio::time::timeout;

use super::answer::Refusal;

/// How long a client may take for its body.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What is still read of a body that nobody wants, so that its sender gets to read the answer: a
/// connection that is closed over unread bytes is reset.
const UNWANTED_BYTES: usize = 4 << 20;
const UNWANTED_TIME: Duration = Duration::from_secs(1);

/// Reads a whole body of at most so many bytes.
pub(crate) async fn read<B>(body: &mut B, most: usize) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    if usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX) > most {
        return Err(Refusal::PayloadTooLarge);
    }
    let whole = async {
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Err(Refusal::TimedOut) };
            let data = frame.into_data().unwrap_or_default();
            if whole.len() + data.len() > most {
                return Err(Refusal::PayloadTooLarge);
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.into())
    };
    timeout(TIME_LIMIT, whole).await.unwrap_or(Err(Refusal::TimedOut))
}

/// Reads what is left of a body, and forgets it.
pub(crate) async fn discard<B>(body: &mut B, headers: &HeaderMap)
where
    B: Body<Data = Bytes> + Unpin,
{
    if headers.contains_key(EXPECT) {
        // It waits for a word before it sends its body, and gets the answer instead.
        return;
    }
    let rest = async {
        let mut discarded = 0;
        while discarded < UNWANTED_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            discarded += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    timeout(UNWANTED_TIME, rest).await.ok();
}
