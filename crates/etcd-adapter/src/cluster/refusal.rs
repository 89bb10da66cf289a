//! What it means that etcd refuses a call, and so what a node does.
//!
//! Versions of etcd answer the same refusal with different gRPC codes (and now and then with a text
//! that was meant for etcd itself), so the text decides, and the code only where the text is unknown.
//! The texts are those of `rpctypes/error.go`, `v3rpc/util.go` and, untranslated, `auth/store.go`,
//! `lease/lessor.go` and `etcdserver/errors.go` in etcd 3.4, 3.5.1, 3.5.21, 3.5.35,
//! 3.6.5 and 3.6.16.

/// Why etcd does not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The token is missing, unknown, or older than the last change of users and roles. Nothing was
    /// done: get another one and ask again.
    Token,
    /// Authentication is off: go on without a token.
    AuthenticationOff,
    /// The user, the password or the role does not allow it: say so, and ask again later.
    Denied,
    /// This member cannot answer now, or did not in time: go on with another.
    Member,
    /// The space quota is used up. The write that used up the last room happened nevertheless.
    Space,
    /// What was asked for is from before the last compaction: read the log instead.
    Compacted,
    /// A lease that the call names is gone, and nothing was done: get another one.
    LeaseGone,
    /// Members hold different data. No member helps; an operator has to.
    Corrupt,
    /// No member ever does this: give up and say so.
    Request,
}

use Refusal::{
    AuthenticationOff, Compacted, Corrupt, Denied, LeaseGone, Member, Request, Space, Token,
};

/// Parts of etcd's texts. The first that fits counts.
const TEXTS: [(&str, Refusal); 38] = [
    // Unauthenticated; Unknown from services that call others.
    ("invalid auth token", Token),
    // Unknown before 3.5.2, with the second text; InvalidArgument since.
    ("revision of auth store is old", Token),
    ("revision in header is old", Token),
    // InvalidArgument. Without a token there is no name: authentication has been switched on.
    ("user name is empty", Token),
    ("authentication is not enabled", AuthenticationOff),
    ("authentication failed", Denied),
    ("permission denied", Denied),
    ("user name not found", Denied),
    ("user not found", Denied),
    ("role is not granted", Denied),
    ("permission is not granted", Denied),
    ("invalid auth management", Denied),
    ("no leader", Member),
    ("not leader", Member),
    ("leader changed", Member),
    ("server stopped", Member),
    // Four texts.
    ("request timed out", Member),
    ("unhealthy cluster", Member),
    // Of one member, which is behind with applying what is committed.
    ("too many requests", Member),
    // Unavailable before 3.6; FailedPrecondition since.
    ("rpc not supported for learner", Member),
    ("not capable", Member),
    ("cluster version not found", Member),
    ("member not found", Member),
    ("cluster ID mismatch", Member),
    ("request canceled", Member),
    ("context canceled", Member),
    ("deadline exceeded", Member),
    ("database space exceeded", Space),
    ("etcdserver: no space", Space),
    ("revision has been compacted", Compacted),
    ("lease not found", LeaseGone),
    ("corrupt cluster", Corrupt),
    ("request is too large", Request),
    ("too many operations", Request),
    ("duplicate key given", Request),
    ("is a future revision", Request),
    ("too large lease TTL", Request),
    ("lease already exists", Request),
];

impl Refusal {
    /// By the error of a call.
    pub(super) fn of(error: &etcd_client::Error) -> Self {
        use etcd_client::Error;
        match error {
            Error::GRpcStatus(status) => {
                let by_code = || Self::of_code(i32::from(status.code()));
                Self::of_text(status.message()).unwrap_or_else(by_code)
            }
            // The last: a stream ended without an answer.
            Error::TransportError(_) | Error::IoError(_) | Error::WatchError(_) => Member,
            Error::LeaseKeepAliveError(_) => LeaseGone,
            Error::InvalidArgs(_)
            | Error::InvalidUri(_)
            | Error::Utf8Error(_)
            | Error::ElectError(_)
            | Error::InvalidMetadataValue(_)
            | Error::EndpointError(_)
            | Error::EndpointsNotManaged
            | Error::Internal(_) => Request,
        }
    }

    /// By why a watch was cancelled. Older versions (3.5.1 is one) say
    /// of a token, too, that permission was denied.
    pub(super) fn of_cancelled_watch(reason: &str) -> Self {
        match Self::of_text(reason) {
            Some(Denied) => Token,
            Some(refusal) => refusal,
            None => Request,
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        TEXTS.iter().find(|(part, _)| text.contains(part)).map(|(_, refusal)| *refusal)
    }

    /// Classifies a status code alone (<https://grpc.io/docs/guides/status-codes/>), from etcd or from the
    /// client library.
    fn of_code(code: i32) -> Self {
        match code {
            // Cancelled, unknown, deadline exceeded, internal, unavailable.
            1 | 2 | 4 | 13 | 14 => Member,
            7 => Denied,
            15 => Corrupt,
            16 => Token,
            _ => Request,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that etcd 3.4 to 3.6 answers to calls of the gateway.
    const ANSWERS: [(&str, Refusal); 45] = [
        ("etcdserver: invalid auth token", Token),
        ("etcdserver: revision of auth store is old", Token),
        ("auth: revision in header is old", Token),
        ("etcdserver: user name is empty", Token),
        ("auth: user name is empty", Token),
        ("etcdserver: authentication is not enabled", AuthenticationOff),
        ("etcdserver: authentication failed, invalid user ID or password", Denied),
        ("etcdserver: permission denied", Denied),
        ("etcdserver: user name not found", Denied),
        ("auth: user not found", Denied),
        ("etcdserver: role is not granted to the user", Denied),
        ("etcdserver: permission is not granted to the role", Denied),
        ("etcdserver: invalid auth management", Denied),
        ("etcdserver: no leader", Member),
        ("etcdserver: not leader", Member),
        ("etcdserver: leader changed", Member),
        ("etcdserver: server stopped", Member),
        ("etcdserver: request timed out", Member),
        ("etcdserver: request timed out, possibly due to previous leader failure", Member),
        ("etcdserver: request timed out, possibly due to connection lost", Member),
        ("etcdserver: request timed out, waiting for the applied index took too long", Member),
        ("etcdserver: unhealthy cluster", Member),
        ("etcdserver: too many requests", Member),
        ("etcdserver: rpc not supported for learner", Member),
        ("etcdserver: not capable", Member),
        ("etcdserver: cluster version not found during downgrade", Member),
        ("etcdserver: member not found", Member),
        ("etcdserver: cluster ID mismatch", Member),
        ("etcdserver: request canceled", Member),
        ("context canceled", Member),
        ("etcdserver: context deadline exceeded", Member),
        ("etcdserver: mvcc: database space exceeded", Space),
        ("etcdserver: no space", Space),
        ("etcdserver: mvcc: required revision has been compacted", Compacted),
        ("mvcc: required revision has been compacted", Compacted),
        ("etcdserver: requested lease not found", LeaseGone),
        ("lease not found", LeaseGone),
        ("etcdserver: corrupt cluster", Corrupt),
        ("etcdserver: request is too large", Request),
        ("etcdserver: too many operations in txn request", Request),
        ("etcdserver: duplicate key given in txn request", Request),
        ("etcdserver: mvcc: required revision is a future revision", Request),
        ("etcdserver: too large lease TTL", Request),
        ("etcdserver: lease already exists", Request),
        ("rpc error: code = PermissionDenied desc = etcdserver: permission denied", Denied),
    ];

    #[test]
    fn every_text_of_etcd_has_one_meaning() {
        for (text, refusal) in ANSWERS {
            assert_eq!(Refusal::of_text(text), Some(refusal), "{text}");
        }
        for (part, _) in TEXTS {
            assert!(ANSWERS.iter().any(|(text, _)| text.contains(part)), "{part} is never said");
        }
    }

    #[test]
    fn a_watch_that_is_refused_needs_another_token_whatever_the_version_calls_it() {
        for text in ["permission denied", "invalid auth token", "revision of auth store is old"] {
            assert_eq!(Refusal::of_cancelled_watch(text), Token, "{text}");
        }
        assert_eq!(Refusal::of_cancelled_watch(""), Request);
    }
}
