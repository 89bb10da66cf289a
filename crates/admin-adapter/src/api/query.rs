//! The parameters of a request: each at most once, and none that nobody asked for.

use std::{borrow::Cow, fmt::Display, str::FromStr};

use game_realtime_application::wire::FieldFault;
use game_realtime_domain::{UserId, whole};
use percent_encoding::percent_decode_str;

/// What came behind the question mark. Parameters are taken; what is left in the end is a fault.
pub(crate) struct Query {
    given: Vec<(String, String)>,
    faults: Vec<FieldFault>,
}

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let mut parsed = Self { given: Vec::new(), faults: Vec::new() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => parsed.given.push((name, value)),
                (name, _) => parsed.fault(&name.unwrap_or_default(), "must be UTF-8"),
            }
        }
        parsed
    }

    /// Takes a parameter, if it was given and can be read.
    pub(crate) fn take<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        self.take_with(name, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// As [`take`](Self::take), read in some other way.
    pub(crate) fn take_with<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let place = self.given.iter().position(|(given, _)| given == name)?;
        let (_, value) = self.given.remove(place);
        if self.given.iter().any(|(given, _)| given == name) {
            self.given.retain(|(given, _)| given != name);
            self.fault(name, "must be given once");
            return None;
        }
        read(&value).map_err(|message| self.fault(name, message)).ok()
    }

    /// Notes a parameter that cannot be used, or that is missing.
    pub(crate) fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(FieldFault { path: name.to_owned(), message: message.into() });
    }

    /// Takes `user_id`.
    pub(crate) fn take_user_id(&mut self) -> Option<UserId> {
        self.take_with("user_id", |id| UserId::parse(id).map_err(|error| error.to_string()))
    }

    /// Takes `limit`.
    pub(crate) fn take_limit(&mut self, most: usize) -> Option<usize> {
        self.take_with("limit", |text| {
            let limit = whole_number(text).filter(|limit| (1..=most).contains(limit));
            limit.ok_or_else(|| format!("must be a whole number from 1 to {most}"))
        })
    }

    /// What is wrong with the parameters, once all that count were taken.
    ///
    /// # Errors
    /// At least one fault.
    pub(crate) fn finish(mut self) -> Result<(), Vec<FieldFault>> {
        for (name, _) in std::mem::take(&mut self.given) {
            self.fault(&name, "is not known");
        }
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults) }
    }

    /// As [`finish`](Self::finish), with a parameter that has to be there.
    ///
    /// # Errors
    /// At least one fault.
    pub(crate) fn finish_with<T>(
        mut self,
        name: &str,
        taken: Option<T>,
    ) -> Result<T, Vec<FieldFault>> {
        if taken.is_none() && self.faults.iter().all(|fault| fault.path != name) {
            self.fault(name, "is required");
        }
        match (self.finish(), taken) {
            (Ok(()), Some(taken)) => Ok(taken),
            // Without it there is a fault.
            (Ok(()), None) => Err(Vec::new()),
            (Err(faults), _) => Err(faults),
        }
    }
}

/// Reads an integer in any spelling that JSON has for it.
fn whole_number(text: &str) -> Option<usize> {
    let in_json = || {
        let number: serde_json::Number = text.parse().ok()?;
        usize::try_from(whole(number.as_f64()?)?).ok()
    };
    text.parse().ok().or_else(in_json)
}

/// Undoes what a form does to text.
fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(query: Query) -> Vec<String> {
        let faults = query.finish().err().unwrap_or_default();
        faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect()
    }

    #[test]
    fn parameters_are_decoded_and_taken() {
        let mut query = Query::parse("user_id=a%2Fb+%C3%A4%2B&limit=7&");
        assert_eq!(query.take::<String>("user_id").as_deref(), Some("a/b ä+"));
        assert_eq!(query.take::<u32>("limit"), Some(7));
        assert_eq!(query.take::<String>("cursor"), None);
        assert_eq!(faults(query), [""; 0]);
    }

    #[test]
    fn a_limit_has_bounds() {
        for (text, limit) in [
            ("1", Some(1)),
            ("10", Some(10)),
            ("10.0", Some(10)),
            ("1e1", Some(10)),
            ("0", None),
            ("11", None),
            ("1.5", None),
            ("-1", None),
            ("NaN", None),
            ("1e999", None),
        ] {
            assert_eq!(Query::parse(&format!("limit={text}")).take_limit(10), limit, "{text}");
        }
    }

    #[test]
    fn what_has_to_be_there_is_missed_once() {
        let finish = |query: &str| {
            let mut query = Query::parse(query);
            let user_id = query.take_user_id();
            query.finish_with("user_id", user_id)
        };
        assert_eq!(finish("user_id=a").unwrap().as_str(), "a");
        let messages = |query: &str| {
            let faults = finish(query).unwrap_err();
            faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>()
        };
        assert_eq!(messages(""), ["is required"]);
        assert_eq!(
            messages("user_id="),
            ["must have 1 to 128 characters and no control characters"]
        );
        assert_eq!(messages("user_id=a&x=1"), ["is not known"]);
    }

    #[test]
    fn every_fault_names_its_parameter() {
        let mut query = Query::parse("limit=x&user_id=a&user_id=b&name&bad=%ff&%ff=x");
        assert_eq!(query.take_limit(10), None);
        assert_eq!(query.take_user_id(), None);
        assert_eq!(
            faults(query),
            [
                "bad: must be UTF-8",
                ": must be UTF-8",
                "limit: must be a whole number from 1 to 10",
                "user_id: must be given once",
                "name: is not known",
            ]
        );
    }
}
