//! The frames of clients, some of which are changed on their way to the library.

use game_realtime_fuzz::{
    Broken, below,
    bolero::{Driver, ValueGenerator},
    fuzz,
};

use crate::{frame_filter::FrameFilter, packet_head::edited};

/// A frame that is larger than what is looked at where it lies, in bytes of payload.
const LARGE: usize = 300;
/// The longest that is held back, in bytes.
const HELD: usize = 64 * 1024 + 14;

const PACKETS: Broken = Broken::bytes(
    &[
        "40/core/guest?cursor=a,",
        "40/core/guest?cursor=a",
        "40/core/guest,{\"token\":\"a?b\"}",
        "42[\"what?\",1]",
        "42/core/guest,17[\"a\\u0000\\\"b\",{}]",
        "42[5,{}]",
        "2",
        "",
    ],
    &["?", ",", "40/", "40/a?b,", "é", "\u{0}", "xxxxxxxxxxxxxxxxxxxxxxxx"],
);

/// The first byte of a message, and its payload.
type Message = (u8, Vec<u8>);

/// What a client of any kind writes, and how it is cut on the way.
struct Written;

impl ValueGenerator for Written {
    type Output = (Vec<u8>, Vec<usize>);

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Self::Output> {
        let mut bytes = Vec::new();
        for _ in 0..below(driver, 8)? {
            let mut payload = PACKETS.generate(driver)?;
            if below(driver, 12)? == 0 {
                let at = below(driver, payload.len() + 1)?;
                payload.splice(at..at, [b'x'; LARGE]);
            }
            let first = [0x81, 0x81, 0x81, 0x81, 0x82, 0x01, 0x80, 0x89, driver.produce()?];
            let mask: Option<[u8; 4]> = (below(driver, 8)? > 0).then(|| driver.produce()).flatten();
            // Lengths may be written longer than they have to be.
            let wide = below(driver, 3)?;
            put(&mut bytes, first[below(driver, first.len())?], mask, wide, &payload);
        }
        for _ in 0..below(driver, 3)? {
            let at = below(driver, bytes.len() + 1)?;
            let byte = driver.produce()?;
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
        let cuts: Option<_> =
            (0..below(driver, 6)?).map(|_| below(driver, bytes.len() + 1)).collect();
        let mut cuts: Vec<usize> = cuts?;
        cuts.sort_unstable();
        Some((bytes, cuts))
    }
}

fn put(bytes: &mut Vec<u8>, first: u8, mask: Option<[u8; 4]>, wide: usize, payload: &[u8]) {
    bytes.push(first);
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) if wide == 0 => bytes.push(masked | length),
        (_, Ok(length)) if wide <= 1 => {
            bytes.push(masked | 126);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(masked | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
    let mask = mask.unwrap_or_default();
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// The messages and control frames among frames that are all complete, and unmasked.
fn messages(mut bytes: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let (mut messages, mut open): (Vec<Message>, Option<Message>) = (vec![], None);
    while !bytes.is_empty() {
        let (header, payload) = head(bytes)?;
        let frame = bytes.get(..header.checked_add(payload)?)?;
        bytes = bytes.get(frame.len()..)?;
        let first = *frame.first()?;
        // What breaks the protocol is no message.
        let masked = frame.get(1)? & 0x80 != 0;
        if !masked || first & 0x70 != 0 {
            return None;
        }
        let mask = frame.get(header - 4..header)?.iter().cycle();
        let payload: Vec<u8> = frame.get(header..)?.iter().zip(mask).map(|(a, b)| a ^ b).collect();
        match (first & 0x0f, &mut open) {
            (8.., _) => messages.push((first, payload)),
            (0, Some((_, message))) => message.extend(payload),
            (1 | 2, None) => open = Some((first | 0x80, payload)),
            (_, _) => return None,
        }
        if first & 0x88 == 0x80 {
            messages.extend(open.take());
        }
    }
    open.is_none().then_some(messages)
}

/// The lengths of a frame's head and payload.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let second = *bytes.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (header, payload) = match second & 0x7f {
        126 => (4 + mask, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10 + mask, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())),
        length => (2 + mask, u64::from(length)),
    };
    (bytes.len() >= header).then(|| (header, usize::try_from(payload).unwrap()))
}

#[test]
fn only_heads_change_however_the_frames_are_cut() {
    fuzz!(Written, |(bytes, cuts): &(Vec<u8>, Vec<usize>)| {
        let mut filter = FrameFilter::new(true, usize::MAX);
        let (mut out, mut from) = (Vec::new(), 0);
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            let read = &bytes[from..cut];
            match filter.filter(read) {
                Some(filtered) => out.extend(filtered),
                None => out.extend(read),
            }
            from = cut;
            assert!(filter.held() <= HELD, "{} bytes are held back", filter.held());
        }
        let Some(written) = messages(bytes) else { return false };
        let data = |messages: Vec<(u8, Vec<u8>)>| -> (Vec<_>, Vec<_>) {
            messages.into_iter().partition(|(first, _)| first & 0x08 == 0)
        };
        let (written, controls) = data(written);
        let mut found = false;
        let expected: Vec<_> = written
            .into_iter()
            .map(|(first, message)| match edited(&message, true).filter(|_| first == 0x81) {
                Some(edited) => {
                    found = true;
                    (first, edited)
                }
                None => (first, message),
            })
            .collect();
        // Control frames stay in order among themselves, and may overtake the message that they stand in.
        assert_eq!(messages(&out).map(data), Some((expected, controls)));
        found
    });
}
