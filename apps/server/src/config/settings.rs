//! The value of every key, and where it was set.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use figment::value::{Dict, Value};

use super::{
    Fault,
    environment::variable,
    keys::{Keys, join},
    toml,
};

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    File(PathBuf),
    Variable(String),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(path) => path.display().fmt(formatter),
            Self::Variable(name) => formatter.write_str(name),
        }
    }
}

impl Source {
    fn origin(&self) -> String {
        match self {
            Self::Default => self.to_string(),
            Self::File(_) => format!("file {self}"),
            Self::Variable(_) => format!("environment variable {self}"),
        }
    }
}

/// The value of a key.
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) source: Source,
}

/// The values that apply. Prints itself as TOML, one key a line, without secrets.
#[derive(Default)]
pub(crate) struct Settings {
    entries: BTreeMap<String, Setting>,
}

impl Settings {
    /// Takes the values of one source, each in place of what was there, and says what is wrong
    /// with the others.
    pub(super) fn overlay(&mut self, keys: &Keys, values: &Dict, source: &Source) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.overlay_section(keys, "", values, source, &mut faults);
        faults
    }

    fn overlay_section(
        &mut self,
        keys: &Keys,
        section: &str,
        values: &Dict,
        source: &Source,
        faults: &mut Vec<Fault>,
    ) {
        for (name, value) in values {
            let key = join(section, name);
            // A quoted name with a dot in it only looks like a path.
            let known = !name.contains('.');
            match (value, keys.kind(&key)) {
                (_, Some(_)) if known => faults.extend(self.set(keys, &key, value, source)),
                (Value::Dict(_, values), _) if !values.is_empty() || keys.is_section(&key) => {
                    self.overlay_section(keys, &key, values, source, faults);
                }
                _ if known && keys.is_section(&key) => {
                    faults.push(fault(&key, "is a section, its keys take values", source));
                }
                _ => faults.push(fault(&key, "unknown key", source)),
            }
        }
    }

    /// Takes one value, unless something is wrong with it.
    pub(super) fn set(
        &mut self,
        keys: &Keys,
        key: &str,
        value: &Value,
        source: &Source,
    ) -> Option<Fault> {
        let Some(kind) = keys.kind(key) else {
            return Some(fault(key, "unknown key", source));
        };
        if let Some(problem) = kind.problem(value) {
            return Some(fault(key, &problem, source));
        }
        // An empty variable often means that somebody forgot to fill it.
        if Keys::is_optional(key) && value.as_str() == Some("") {
            return Some(fault(key, "must not be empty, leave it out instead", source));
        }
        let setting = Setting { value: value.clone(), source: source.clone() };
        self.entries.insert(key.to_owned(), setting);
        None
    }

    /// Every key and its value, by path.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.entries.iter().map(|(key, setting)| (key.as_str(), setting))
    }

    /// Says that the value of `key` cannot be used, and where it comes from.
    pub(crate) fn fault(&self, key: &str, message: impl fmt::Display) -> Fault {
        let origin = match self.entries.get(key) {
            Some(setting) => setting.source.origin(),
            None => format!("set neither in a file nor as {}", variable(key)),
        };
        Fault { key: key.to_owned(), message: message.to_string(), origin }
    }
}

pub(super) fn fault(key: &str, message: &str, source: &Source) -> Fault {
    Fault { key: key.to_owned(), message: message.to_owned(), origin: source.origin() }
}

impl fmt::Display for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (key, Setting { value, source }) in &self.entries {
            let value = if Keys::is_secret(key) {
                toml::write_text("[redacted]")
            } else {
                toml::write(value)
            };
            write!(formatter, "{separator}{key} = {value}  # {source}")?;
            separator = "\n";
        }
        Ok(())
    }
}
