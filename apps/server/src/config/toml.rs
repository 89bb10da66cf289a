//! Values as TOML reads and writes them.

use figment::{
    Profile, Provider as _,
    providers::{Format as _, Toml},
    value::{Dict, Num, Value},
};

/// The values in a document.
///
/// # Errors
/// Where it is no TOML and why, in one line.
pub(super) fn read(text: &str) -> Result<Dict, String> {
    match Toml::string(text).data() {
        Ok(mut profiles) => Ok(profiles.remove(&Profile::Default).unwrap_or_default()),
        Err(error) => Err(in_one_line(&error.kind.to_string())),
    }
}

/// The parser's message without its picture of the line, which may show a secret:
///
/// ```text
/// TOML parse error at line 2, column 10
///   |
/// 2 | secret = "abc
///   |          ^
/// invalid basic string
/// ```
fn in_one_line(message: &str) -> String {
    let mut lines = message.lines();
    let place = lines.next().unwrap_or("not TOML");
    let reason = lines.skip_while(|line| !line.trim_end().ends_with('^')).skip(1);
    let reason = reason.collect::<Vec<_>>().join(", ");
    if reason.is_empty() { place.to_owned() } else { format!("{place}: {reason}") }
}

/// A value as TOML writes it.
pub(super) fn write(value: &Value) -> String {
    match value {
        Value::String(_, value) => write_text(value),
        Value::Char(_, value) => write_text(&value.to_string()),
        Value::Bool(_, value) => value.to_string(),
        Value::Num(_, number) => write_number(*number),
        Value::Array(_, items) => {
            format!("[{}]", items.iter().map(write).collect::<Vec<_>>().join(", "))
        }
        // No key has such a value.
        Value::Dict(..) | Value::Empty(..) => String::new(),
    }
}

fn write_number(number: Num) -> String {
    if let Num::F32(_) | Num::F64(_) = number {
        return number.to_f64().map(|number| format!("{number:?}")).unwrap_or_default();
    }
    let signed = number.to_i128().map(|number| number.to_string());
    signed.or_else(|| number.to_u128().map(|number| number.to_string())).unwrap_or_default()
}

/// Quoted text. JSON's escapes are also TOML's.
pub(super) fn write_text(value: &str) -> String {
    serde_json::Value::from(without_password(value)).to_string()
}

/// A URL without what may be a password in it.
fn without_password(value: &str) -> String {
    match value.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://[redacted]@{host}"),
            None => value.to_owned(),
        },
        None => value.to_owned(),
    }
}
