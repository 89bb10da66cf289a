//! Which keys exist, and what kind of value each takes.

use std::collections::BTreeMap;

use figment::value::{Dict, Num, Value};

use super::size;

/// Keys that have no default. All take text, and none may be empty.
const OPTIONAL: [&str; 11] = [
    "admin.api_token",
    "auth.jwt.secret",
    "auth.jwt.public_key_file",
    "auth.jwt.jwks_file",
    "auth.jwt.issuer",
    "auth.jwt.audience",
    "etcd.tls.ca_file",
    "etcd.tls.cert_file",
    "etcd.tls.key_file",
    "telemetry.traces.endpoint",
    "telemetry.traces.service_instance",
];

/// Keys whose values nobody may see. All take text.
const SECRET: [&str; 3] = ["admin.api_token", "auth.jwt.secret", "etcd.password"];

/// What a key's value is, before anything else is asked of it. The environment knows only text,
/// so it takes this to tell the password `12345` from a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A number of bytes, with its unit.
    Size,
    Integer,
    /// With a point or without.
    Number,
    Boolean,
    List,
}

impl Kind {
    /// The kind of a default; sections have none.
    fn of_default(value: &Value) -> Option<Self> {
        match value.as_str().map(size::parse) {
            Some(Ok(_)) => Some(Self::Size),
            Some(Err(_)) | None => Self::of(value),
        }
    }

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(..) | Value::Char(..) => Some(Self::Text),
            Value::Num(_, Num::F32(_) | Num::F64(_)) => Some(Self::Number),
            Value::Num(..) => Some(Self::Integer),
            Value::Bool(..) => Some(Self::Boolean),
            Value::Array(_, items) => {
                items.iter().all(|item| Self::of(item) == Some(Self::Text)).then_some(Self::List)
            }
            Value::Dict(..) | Value::Empty(..) => None,
        }
    }

    /// What is wrong with `value`, if it is not of this kind.
    pub(super) fn problem(self, value: &Value) -> Option<String> {
        let kind = Self::of(value);
        let fits = match self {
            Self::Size => match value.as_str() {
                Some(text) => {
                    return size::parse(text).err().map(|problem| format!("{text:?} {problem}"));
                }
                None => false,
            },
            Self::Number => matches!(kind, Some(Self::Number | Self::Integer)),
            Self::Text | Self::Integer | Self::Boolean | Self::List => kind == Some(self),
        };
        (!fits).then(|| self.expectation().to_owned())
    }

    /// What to tell the author of a value of another kind.
    pub(super) const fn expectation(self) -> &'static str {
        match self {
            Self::Text => "must be a string, in quotes",
            Self::Size => r#"must be a size in quotes, with a binary unit, such as "512MiB""#,
            Self::Integer => "must be an integer",
            Self::Number => "must be a number",
            Self::Boolean => "must be true or false",
            Self::List => r#"must be a list of strings such as ["a", "b"]"#,
        }
    }
}

/// Every key, by its path.
pub(super) struct Keys {
    kinds: BTreeMap<String, Kind>,
}

impl Keys {
    /// The keys that have a default, and those that have none.
    pub(super) fn new(defaults: &Dict) -> Self {
        let mut keys = Self { kinds: OPTIONAL.map(|key| (key.to_owned(), Kind::Text)).into() };
        keys.collect("", defaults);
        keys
    }

    fn collect(&mut self, section: &str, values: &Dict) {
        for (name, value) in values {
            let key = join(section, name);
            match (value, Kind::of_default(value)) {
                (Value::Dict(_, values), _) => self.collect(&key, values),
                (_, Some(kind)) => {
                    self.kinds.insert(key, kind);
                }
                // A default of a kind that we do not have is then refused as an unknown key,
                // which a test of the defaults sees.
                (_, None) => {}
            }
        }
    }

    /// The kind of a key, if there is such a key.
    pub(super) fn kind(&self, key: &str) -> Option<Kind> {
        self.kinds.get(key).copied()
    }

    /// Whether there are keys below this one.
    pub(super) fn is_section(&self, key: &str) -> bool {
        self.kinds.keys().any(|it| it.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
    }

    pub(super) fn is_optional(key: &str) -> bool {
        OPTIONAL.contains(&key)
    }

    pub(super) fn is_secret(key: &str) -> bool {
        SECRET.contains(&key)
    }
}

/// The path of `name` in `section`.
pub(super) fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}
