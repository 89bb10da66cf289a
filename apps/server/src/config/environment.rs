//! What the environment says: `GAME_REALTIME__SECTION__KEY`.

use std::ffi::OsString;

use figment::value::Value;

use super::{
    Fault,
    keys::{Keys, Kind},
    settings::{Settings, Source, fault},
    toml,
};

/// What the names begin with. Two underscores, so that the variables which Kubernetes adds for a
/// service named game-realtime (`GAME_REALTIME_PORT`) are none of ours.
const PREFIX: &str = "GAME_REALTIME__";

/// The variable that sets `key`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// Puts the values of `variables` over those in `settings`, and says what is wrong with the rest.
pub(super) fn overlay(
    settings: &mut Settings,
    keys: &Keys,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let key = path.to_lowercase().replace("__", ".");
        let source = Source::Variable(name.clone());
        let right_name = variable(&key);
        if right_name != name {
            // Otherwise two variables could set one key.
            faults.push(fault(&key, &format!("unknown key, did you mean {right_name}"), &source));
            continue;
        }
        faults.extend(match (keys.kind(&key), value.into_string()) {
            (None, _) if keys.is_section(&key) => {
                Some(fault(&key, "is a section, its keys take values", &source))
            }
            (None, _) => Some(fault(&key, "unknown key", &source)),
            (Some(_), Err(_)) => Some(fault(&key, "must be UTF-8", &source)),
            (Some(kind), Ok(text)) => match parse(kind, text) {
                Some(value) => settings.set(keys, &key, &value, &source),
                None => Some(fault(&key, kind.expectation(), &source)),
            },
        });
    }
    faults
}

/// The value that `text` stands for: itself where text is due, otherwise what TOML makes of it.
fn parse(kind: Kind, text: String) -> Option<Value> {
    match kind {
        Kind::Text | Kind::Size => Some(Value::from(text)),
        Kind::Integer | Kind::Number | Kind::Boolean | Kind::List => {
            let mut values = toml::read(&format!("value = {text}")).ok()?;
            // More than one: the text went on with another line.
            values.remove("value").filter(|_| values.is_empty())
        }
    }
}
