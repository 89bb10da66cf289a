//! What is really in etcd: read and changed with `etcdctl`, past the gateway.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::{Etcd, program};
use crate::validator::{Cursor, Delivery, Sender};

/// How long etcd may take to answer `etcdctl`.
const COMMAND_TIMEOUT: &str = "--command-timeout=20s";

/// A key and all that etcd knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawKey {
    /// The key.
    pub key: String,
    /// The value, if it was asked for.
    pub value: String,
    /// The revision in which it was written last.
    pub revision: u64,
}

impl Etcd {
    /// Runs `etcdctl` against this member and returns what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        let output = Command::new(program("etcdctl"))
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.endpoint()))
            .arg(COMMAND_TIMEOUT)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .expect("etcdctl runs (tools/setup installs it)");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "etcdctl {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// All keys below a prefix, with their values.
    pub async fn read(&self, prefix: &str) -> Vec<RawKey> {
        let answer = self.ctl(&["get", "--prefix", prefix, "--write-out=json"]).await;
        let answer: Value = serde_json::from_str(&answer).expect("etcdctl writes JSON");
        let pairs = answer.get("kvs").and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |pair: &Value, field| {
            let bytes = decode_base64(pair.get(field).and_then(Value::as_str).unwrap_or_default());
            String::from_utf8(bytes).expect("the gateway writes text")
        };
        let read = |pair: &Value| RawKey {
            key: text(pair, "key"),
            value: text(pair, "value"),
            revision: pair.get("mod_revision").and_then(Value::as_u64).unwrap_or_default(),
        };
        pairs.iter().map(read).collect()
    }

    /// All events below the gateway's prefix, in commit order, with cursors of `epoch`.
    pub async fn events(&self, prefix: &str, epoch: &str) -> Vec<Delivery> {
        let root = format!("{prefix}/log/");
        let read = self.read(&root).await;
        let mut events: Vec<_> = read
            .iter()
            .map(|raw| (raw, raw.key.strip_prefix(&root).unwrap_or_default()))
            .filter(|(_, below)| !below.starts_with("segments/"))
            .map(|(raw, below)| {
                delivery(raw, below, epoch).unwrap_or_else(|| panic!("no event: {raw:?}"))
            })
            .collect();
        events.sort_by_key(|event| event.cursor.position);
        events
    }

    /// The revision that etcd is at.
    pub async fn revision(&self) -> u64 {
        let answer = self.ctl(&["get", "no such key", "--write-out=json"]).await;
        let answer: Value = serde_json::from_str(&answer).expect("etcdctl writes JSON");
        let revision = answer.pointer("/header/revision").and_then(Value::as_u64);
        revision.expect("an answer has a revision")
    }

    /// Forgets all history before the present.
    pub async fn compact(&self) {
        self.ctl(&["compaction", &self.revision().await.to_string()]).await;
    }

    /// Revokes every lease that keys below a prefix hang on. Returns how many.
    pub async fn revoke_leases(&self, prefix: &str) -> usize {
        let answer = self.ctl(&["get", "--prefix", prefix, "--write-out=json"]).await;
        let answer: Value = serde_json::from_str(&answer).expect("etcdctl writes JSON");
        let pairs = answer.get("kvs").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut leases: Vec<_> =
            pairs.iter().filter_map(|pair| pair.get("lease")?.as_i64()).collect();
        leases.sort_unstable();
        leases.dedup();
        for lease in &leases {
            self.ctl(&["lease", "revoke", &format!("{lease:x}")]).await;
        }
        leases.len()
    }

    /// Whether this member leads the cluster.
    pub async fn is_leader(&self) -> bool {
        let answer = self.ctl(&["endpoint", "status", "--write-out=json"]).await;
        let answer: Value = serde_json::from_str(&answer).expect("etcdctl writes JSON");
        let leader = answer.pointer("/0/Status/leader");
        leader.is_some() && leader == answer.pointer("/0/Status/header/member_id")
    }
}

/// `{type}/{order: 12}{place: 3}/{namespace}/{recipients}/{id}`, see the gateway's key layout.
fn delivery(raw: &RawKey, below: &str, epoch: &str) -> Option<Delivery> {
    let mut segments = below.split('/');
    let event_type = format!("core.game.state.{}", segments.next()?);
    // Counted down, as the order is.
    let index = 0xfff - u16::from_str_radix(segments.next()?.get(12..)?, 16).ok()?;
    let id: uuid::Uuid = segments.next_back()?.parse().ok()?;
    let record: Value = serde_json::from_str(&raw.value).ok()?;
    let [user_id, connection_id] = record.get("sender")?.as_array()?.as_slice() else {
        return None;
    };
    // The first 48 bits of the id are its time.
    let created_at = match record.get("created_at") {
        Some(created_at) => created_at.as_u64()?,
        None => u64::try_from(id.as_u128() >> 80).ok()?,
    };
    Some(Delivery {
        id: id.to_string(),
        cursor: Cursor { epoch: epoch.to_owned(), position: (raw.revision, index.into()) },
        event_type,
        created_at: rfc3339(created_at),
        sender: Sender {
            user_id: user_id.as_str().map(str::to_owned),
            connection_id: connection_id.as_str()?.to_owned(),
        },
        payload: record.get("payload")?.as_object()?.clone(),
    })
}

/// Milliseconds since 1970 as clients are told of them. After Howard Hinnant's `civil_from_days`.
fn rfc3339(millis: u64) -> String {
    let (days, of_day) = (millis / 86_400_000, millis % 86_400_000);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

fn decode_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("not base64: {text:?}"),
    };
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        bits = bits << 6 | u32::from(value(byte));
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.extend_from_slice(&(bits >> count).to_be_bytes()[3..]);
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_every_length_is_decoded() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo")] {
            assert_eq!(decode_base64(text), bytes.as_bytes());
        }
    }

    #[test]
    fn times_are_told_as_the_gateway_tells_them() {
        assert_eq!(rfc3339(1_795_000_000_123), "2026-11-18T11:06:40.123Z");
        assert_eq!(rfc3339(1_709_164_800_000), "2024-02-29T00:00:00.000Z");
    }
}
