//! The head of a Socket.IO packet, as far as clients may write what the library does not read.
//!
//! - Clients of version 2 put their query into the connect packet, `0/namespace?cursor=…,`. Socket.IO
//!   servers do not take it for a part of the name, the library does. It is in the URL of the request too.
//! - The library reads the name of an event without undoing JSON escapes, and ends the connection of a
//!   client that needs one, or whose event has a number for a name.
//!
//! [`HeadReader`] finds both before the library sees the packet, and says what to write instead.
//! [`name_as_sent`] is the way back.

/// Bytes of a packet that the library must not see, and those it reads instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    from: usize,
    to: usize,
    text: String,
}

impl Edit {
    /// The packet as the library reads it.
    pub(crate) fn apply(&self, packet: &[u8]) -> Vec<u8> {
        let before = packet.get(..self.from).unwrap_or_default();
        let after = packet.get(self.to..).unwrap_or_default();
        [before, self.text.as_bytes(), after].concat()
    }
}

/// What is known of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// Its head goes on in bytes that are not there yet.
    Incomplete,
    /// The library may read it as it is.
    Plain,
    /// The library may read it with this change.
    Edited(Edit),
}

/// Reads the head of one packet, an Engine.IO text packet, however it is cut.
#[derive(Debug)]
pub(crate) struct HeadReader {
    strip_queries: bool,
    at: usize,
    stage: Stage,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The type of the Engine.IO packet.
    Engine,
    /// The type of the Socket.IO packet.
    Type,
    /// The namespace of a connect packet, with the place of its question mark.
    Connect {
        query: Option<usize>,
    },
    /// The number of attachments.
    Attachments,
    /// The slash of a namespace, or what follows if there is none.
    Namespace,
    InNamespace,
    /// The id of the acknowledgement, up to the array.
    Acknowledgement,
    /// The first element of the array.
    Name,
    /// A text, with the place of its quotation mark.
    InText {
        start: usize,
        has_escapes: bool,
        is_escaped: bool,
    },
    /// A number, with the place of its first character.
    InNumber {
        start: usize,
    },
}

impl HeadReader {
    pub(crate) fn new(strip_queries: bool) -> Self {
        Self { strip_queries, at: 0, stage: Stage::Engine }
    }

    /// Reads on. `packet` begins with what was given before; `is_whole` says that nothing follows.
    pub(crate) fn read(&mut self, packet: &[u8], is_whole: bool) -> Head {
        while let Some(&byte) = packet.get(self.at) {
            match self.step(byte) {
                Some(stage) => self.stage = stage,
                None => return self.end(packet),
            }
            self.at += 1;
        }
        if is_whole { self.end(packet) } else { Head::Incomplete }
    }

    /// The stage after a byte; `None` if the head ends before it.
    fn step(&self, byte: u8) -> Option<Stage> {
        match (self.stage, byte) {
            (Stage::Engine, b'4') => Some(Stage::Type),
            (Stage::Type, b'0') if self.strip_queries => Some(Stage::Connect { query: None }),
            (Stage::Type, b'2') | (Stage::Attachments, b'-') => Some(Stage::Namespace),
            (Stage::Type, b'5') => Some(Stage::Attachments),
            // A connect to the root begins with no slash, and has no query.
            (Stage::Connect { .. }, _) if self.at == 2 && byte != b'/' => None,
            (Stage::Connect { query }, b'?') => {
                Some(Stage::Connect { query: query.or(Some(self.at)) })
            }
            (Stage::Namespace, b'/') => Some(Stage::InNamespace),
            (Stage::InNamespace, b',') => Some(Stage::Acknowledgement),
            (Stage::Namespace | Stage::Acknowledgement, b'[') => Some(Stage::Name),
            (
                Stage::Namespace | Stage::Acknowledgement,
                b'0'..=b'9' | b' ' | b'\t' | b'\r' | b'\n',
            ) => Some(Stage::Acknowledgement),
            (Stage::Name, b'"') => {
                Some(Stage::InText { start: self.at, has_escapes: false, is_escaped: false })
            }
            (Stage::Name, b'-' | b'0'..=b'9') => Some(Stage::InNumber { start: self.at }),
            (Stage::InText { start, is_escaped: false, .. }, b'\\') => {
                Some(Stage::InText { start, has_escapes: true, is_escaped: true })
            }
            (Stage::InText { is_escaped: false, .. }, b'"')
            | (Stage::Connect { .. }, b',')
            | (Stage::Engine | Stage::Type, _) => None,
            (Stage::InText { start, has_escapes, .. }, _) => {
                Some(Stage::InText { start, has_escapes, is_escaped: false })
            }
            (Stage::Attachments, b'0'..=b'9')
            | (Stage::Name, b' ' | b'\t' | b'\r' | b'\n')
            | (Stage::InNumber { .. }, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
            | (Stage::Connect { .. } | Stage::InNamespace, _) => Some(self.stage),
            (
                Stage::Attachments
                | Stage::Namespace
                | Stage::Acknowledgement
                | Stage::Name
                | Stage::InNumber { .. },
                _,
            ) => None,
        }
    }

    /// What has to change in a head that ends here.
    fn end(&self, packet: &[u8]) -> Head {
        let at = self.at;
        let edit = match self.stage {
            Stage::Connect { query: Some(query) } => {
                Some(Edit { from: query, to: at, text: String::new() })
            }
            Stage::InText { start, has_escapes: true, is_escaped: false } if at < packet.len() => {
                let name = packet.get(start + 1..at).and_then(unescaped);
                name.map(|name| Edit { from: start + 1, to: at, text: name })
            }
            Stage::InNumber { start } => packet.get(start..at).and_then(|number| {
                let _is_json: serde_json::Number = serde_json::from_slice(number).ok()?;
                let number = std::str::from_utf8(number).ok()?;
                Some(Edit { from: start, to: at, text: format!("\"{number}\"") })
            }),
            Stage::Engine
            | Stage::Type
            | Stage::Connect { query: None }
            | Stage::Attachments
            | Stage::Namespace
            | Stage::InNamespace
            | Stage::Acknowledgement
            | Stage::Name
            | Stage::InText { .. } => None,
        };
        edit.map_or(Head::Plain, Head::Edited)
    }
}

/// What the library reads for a packet that is there as a whole, if it must not read it as it is.
pub(crate) fn edited(packet: &[u8], strip_queries: bool) -> Option<Vec<u8>> {
    match HeadReader::new(strip_queries).read(packet, true) {
        Head::Edited(edit) => Some(edit.apply(packet)),
        Head::Plain | Head::Incomplete => None,
    }
}

/// The text between two quotation marks of JSON, without escapes. `None` if it is no JSON.
fn unescaped(json: &[u8]) -> Option<String> {
    let json = std::str::from_utf8(json).ok()?;
    let mut text = String::with_capacity(json.len());
    let mut rest = json.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => text.push(disguised(escape(&mut rest)?)),
            '\0'..='\u{1f}' => return None,
            _ => text.push(character),
        }
    }
    Some(text)
}

/// The character that an escape stands for, which begins after the backslash. Half of a surrogate pair is
/// none that we could write; it becomes U+FFFD.
fn escape(rest: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        character @ ('"' | '\\' | '/') => character,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = code_unit(rest)?;
            let mut ahead = rest.clone();
            let second = match (first, ahead.next(), ahead.next()) {
                (0xd800..0xdc00, Some('\\'), Some('u')) => code_unit(&mut ahead),
                _ => None,
            };
            let units = [first, second.unwrap_or_default()];
            let pair = second.and_then(|_| char::decode_utf16(units).next()?.ok());
            if pair.is_some() {
                *rest = ahead;
            }
            pair.or(char::from_u32(first.into())).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        _ => return None,
    })
}

/// Four hexadecimal digits.
fn code_unit(rest: &mut std::str::Chars<'_>) -> Option<u16> {
    (0..4).try_fold(0, |unit, _| {
        let digit = rest.next()?.to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

/// What the library reads for a character that JSON has to escape: one that Unicode leaves to programs for
/// their own use (noncharacters: U+FDD0 to U+FDEF, U+FFFE and U+FFFF), and nobody sends.
fn disguised(character: char) -> char {
    match character {
        '\0'..='\u{1f}' => char::from_u32(0xfdd0 + u32::from(character)).unwrap_or(character),
        '"' => '\u{fffe}',
        '\\' => '\u{ffff}',
        _ => character,
    }
}

/// The name of an event as its client wrote it, from the name that the library read.
pub(crate) fn name_as_sent(name: String) -> String {
    let is_disguise =
        |character: char| matches!(character, '\u{fdd0}'..='\u{fdef}' | '\u{fffe}' | '\u{ffff}');
    if !name.contains(is_disguise) {
        return name;
    }
    name.chars()
        .map(|character| match character {
            '\u{fdd0}'..='\u{fdef}' => {
                char::from_u32(u32::from(character) - 0xfdd0).unwrap_or(character)
            }
            '\u{fffe}' => '"',
            '\u{ffff}' => '\\',
            _ => character,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(packet: &str) -> String {
        let edited = edited(packet.as_bytes(), true);
        String::from_utf8(edited.unwrap_or_else(|| packet.into())).unwrap()
    }

    #[test]
    fn only_the_query_of_a_connect_is_taken_out() {
        for (packet, stripped) in [
            ("40/core/guest?cursor=a%3A1.2&x=y,", "40/core/guest,"),
            ("40/core/guest?cursor=a,{\"a\":\"?,\"}", "40/core/guest,{\"a\":\"?,\"}"),
            ("40/core/guest?cursor=a?b", "40/core/guest"),
            ("40/core/guest,", "40/core/guest,"),
            ("40/core/guest,{\"token\":\"a?b\"}", "40/core/guest,{\"token\":\"a?b\"}"),
            ("42/core/guest,[\"what?\",1]", "42/core/guest,[\"what?\",1]"),
            ("40?a=b", "40?a=b"),
            ("40{\"a\":\"?\"}", "40{\"a\":\"?\"}"),
            ("40", "40"),
        ] {
            assert_eq!(read(packet), stripped, "{packet}");
            assert_eq!(edited(packet.as_bytes(), false), None, "{packet}");
        }
    }

    #[test]
    fn a_name_with_escapes_is_read_without_them_and_told_as_it_was_sent() {
        for (name, sent) in [
            (r"a\u0000b", "a\0b"),
            (r"\t\n\r\f\b\/", "\t\n\r\u{c}\u{8}/"),
            (r#"say \"hi\" \\"#, r#"say "hi" \"#),
            (r"caf\u00e9 \ud83c\udfae", "café 🎮"),
            (r"\ud83d", "\u{fffd}"),
            (r"\ud83dx\udfae\ud83d\ud83c\udfae", "\u{fffd}x\u{fffd}\u{fffd}🎮"),
            (r"\u005c\u0022", r#"\""#),
            (r"core.game.state.bro\u0061dcast", "core.game.state.broadcast"),
        ] {
            for (before, after) in
                [("42[", ",{}]"), ("42/core/guest,17[", "]"), ("451-/a,[ ", " ,{}]"), ("42 [", "")]
            {
                let packet = format!("{before}\"{name}\"{after}");
                let read = read(&packet);
                let read = read.strip_prefix(before).and_then(|read| read.strip_suffix(after));
                let name = read.and_then(|read| read.strip_prefix('"')?.strip_suffix('"'));
                let name = name.unwrap_or_else(|| panic!("{packet}: {read:?}"));
                assert!(!name.contains(['\\', '"', '\0', '\n']), "{packet}: {name}");
                assert_eq!(name_as_sent(name.to_owned()), sent, "{packet}");
            }
        }
    }

    #[test]
    fn a_number_is_a_name_too() {
        assert_eq!(read("42[5,{}]"), "42[\"5\",{}]");
        assert_eq!(read("421[-1.5e+3]"), "421[\"-1.5e+3\"]");
        assert_eq!(read("42[1-2]"), "42[1-2]");
    }

    #[test]
    fn what_needs_no_change_or_is_no_packet_stays() {
        for packet in [
            "2",
            "3probe",
            "",
            "4",
            "42",
            "42[",
            "42[]",
            "42[null]",
            r#"42["a"#,
            r#"42["a\"#,
            r#"42["e",{"message":"\n"}]"#,
            r#"42["\x",1]"#,
            r#"42["\ud83",1]"#,
            r#"43["\n"]"#,
            "42[\"a\n\\n\"]",
            r#"45x["\n"]"#,
            "b\\n",
            r#"42{"\n":1}"#,
        ] {
            assert_eq!(read(packet), packet);
        }
    }

    #[test]
    fn a_head_that_comes_in_pieces_is_read_alike() {
        for packet in [
            r#"42/core/guest,17["a\u0000\"b",{"message":"x"}]"#,
            "42/core/guest,[1.5,{}]",
            "40/core/guest?cursor=a,{}",
            "40/core/guest?cursor=a",
            r#"42["e",1]"#,
        ] {
            let packet = packet.as_bytes();
            let whole = HeadReader::new(true).read(packet, true);
            let mut reader = HeadReader::new(true);
            let pieces = (0..packet.len()).map(|end| reader.read(&packet[..end], false));
            let found = pieces.into_iter().find(|head| *head != Head::Incomplete);
            let found = found.unwrap_or_else(|| reader.read(packet, true));
            assert_eq!(found, whole);
        }
    }
}
