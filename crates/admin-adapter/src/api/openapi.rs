//! What the API is, for programs: OpenAPI 3.1, with the limits that this node is configured with.

use game_realtime_domain::CommandLimits;
use hyper::body::Bytes;
use serde_json::Value;

const DESCRIPTION: &str = include_str!("openapi.json");

/// The description, as it is served.
pub(crate) fn description(limits: &CommandLimits) -> Bytes {
    // That it is JSON, and has these places, is a test's business.
    let mut description: Value = serde_json::from_str(DESCRIPTION).unwrap_or_default();
    for (place, longest) in places(limits) {
        if let Some(value) = description.pointer_mut(&place) {
            *value = longest.into();
        }
    }
    if let Some(version) = description.pointer_mut("/info/version") {
        *version = env!("CARGO_PKG_VERSION").into();
    }
    description.to_string().into()
}

/// Where the limits stand.
fn places(limits: &CommandLimits) -> [(String, usize); 3] {
    let CommandLimits { message_length, text_length, good_id_length } = *limits;
    [
        ("Broadcast/properties/message", message_length),
        ("SendMessage/properties/text", text_length),
        ("BuyGood/properties/good_id", good_id_length),
    ]
    .map(|(property, longest)| (format!("/components/schemas/{property}/maxLength"), longest))
}

/// The paths and their methods.
#[cfg(test)]
pub(crate) fn described() -> Vec<(String, std::collections::BTreeSet<String>)> {
    let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
    let paths = description["paths"].as_object().unwrap();
    let methods = |operations: &Value| {
        operations.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect()
    };
    paths.iter().map(|(path, operations)| (path.clone(), methods(operations))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_those_of_the_configuration() {
        let limits = CommandLimits { message_length: 1, text_length: 2, good_id_length: 3 };
        let described: Value = serde_json::from_slice(&description(&limits)).unwrap();
        for (place, longest) in places(&limits) {
            assert_eq!(described.pointer(&place), Some(&longest.into()), "{place}");
        }
        assert_eq!(described["openapi"], "3.1.0");
        assert_eq!(described["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
