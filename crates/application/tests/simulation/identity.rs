//! Players are who they say they are.

use async_trait::async_trait;
use game_realtime_application::ports::{
    Credentials, Identity, IdentityVerifier, RefusedIdentity, VerifyError,
};
use game_realtime_domain::{Timestamp, UserId};

/// Takes the token for the user id.
pub(crate) struct Believer;

#[async_trait]
impl IdentityVerifier for Believer {
    fn headers(&self) -> &[String] {
        &[]
    }

    async fn verify(
        &self,
        credentials: &Credentials,
        _now: Timestamp,
    ) -> Result<Identity, VerifyError> {
        let token = credentials.token.clone().unwrap_or_default();
        let user_id =
            UserId::parse(token).map_err(|_| VerifyError::Refused(RefusedIdentity::Missing))?;
        Ok(Identity { user_id, expires_at: None })
    }
}
