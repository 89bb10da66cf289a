//! The data of an event packet.

use game_realtime_fuzz::{Broken, BrokenText, JSON_WORDS, fuzz};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::decode::packet;

const PACKETS: BrokenText = Broken::text(
    &[
        r#"["core.game.state.broadcast",{"message":"hello"}]"#,
        r#"["core.game.state.send_message",{"target_user_id":"bob","text":"hi","request_id":"r"}]"#,
        r#"["core.game.state.buy_good",{"good_id":"sword","count":3}]"#,
        r#"["name"]"#,
        r#"["name",1,2]"#,
        r#"[ "name" , [ { "a" : null } ] ]"#,
    ],
    JSON_WORDS,
);

#[test]
fn a_packet_is_one_array_that_begins_with_a_name() {
    fuzz!(PACKETS, |data: &String| {
        let elements: Result<Vec<&RawValue>, _> = serde_json::from_str(data);
        let name = elements.iter().flatten().next().map(|name| serde_json::from_str(name.get()));
        match packet(data) {
            Ok(packet) => {
                let elements = elements.expect("an array");
                assert_eq!(name.expect("a first element").ok(), Some(packet.name));
                let argument = packet.argument.map(RawValue::get);
                assert_eq!(argument, (elements.len() == 2).then(|| elements[1].get()));
                true
            }
            Err(_) => {
                let is_name = matches!(name, Some(Ok::<String, _>(_)));
                let all = serde_json::from_str::<Vec<IgnoredAny>>(data);
                assert!(elements.is_err() || all.is_err() || !is_name, "{data} is a packet");
                false
            }
        }
    });
}
