//! The frames of clients of version 2, which are changed on their way to the library.

use game_realtime_fuzz::{
    Broken, below,
    bolero::{Driver, ValueGenerator},
    fuzz,
};

use super::polling_payloads::stripped;
use crate::legacy_connect::FrameFilter;

/// The largest frame that is looked at, in bytes of payload.
const LARGEST: usize = 4096;

const PACKETS: Broken = Broken::bytes(
    &[
        "40/core/guest?cursor=a,",
        "40/core/guest?cursor=a",
        "40/core/guest,{\"token\":\"a?b\"}",
        "42[\"what?\",1]",
        "2",
        "",
    ],
    &["?", ",", "40/", "40/a?b,", "é", "\u{0}", "xxxxxxxxxxxxxxxxxxxxxxxx"],
);

/// What a client of any kind writes, and how it is cut on the way.
struct Written;

impl ValueGenerator for Written {
    type Output = (Vec<u8>, Vec<usize>);

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Self::Output> {
        let mut bytes = Vec::new();
        for _ in 0..below(driver, 8)? {
            let mut payload = PACKETS.generate(driver)?;
            // Frames around the limit are made now and then.
            if below(driver, 12)? == 0 {
                payload.resize(LARGEST - 4 + below(driver, 8)?, b'x');
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

/// What has to come out, frame by frame and all at once; and whether a connect was among it.
fn expected(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let (mut out, mut found) = (Vec::new(), false);
    while let Some((header, payload)) = head(bytes) {
        let whole = header.saturating_add(payload);
        if payload > LARGEST {
            out.extend(bytes.iter().take(whole));
            bytes = bytes.get(whole..).unwrap_or_default();
            continue;
        }
        let Some(frame) = bytes.get(..whole) else { break };
        bytes = &bytes[whole..];
        match text(frame, header).map(|text| (stripped(&text), text)) {
            Some((stripped, text)) if stripped != text => {
                found = true;
                put(&mut out, 0x81, Some([0; 4]), 0, stripped.as_bytes());
            }
            Some(_) | None => out.extend(frame),
        }
    }
    (out, found)
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

fn text(frame: &[u8], header: usize) -> Option<String> {
    if frame[0] != 0x81 || frame[1] & 0x80 == 0 {
        return None;
    }
    let mask = &frame[header - 4..header];
    let payload = frame[header..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    String::from_utf8(payload.collect()).ok()
}

#[test]
fn only_connects_change_however_the_frames_are_cut() {
    fuzz!(Written, |(bytes, cuts): &(Vec<u8>, Vec<usize>)| {
        let mut filter = FrameFilter::default();
        let (mut out, mut from) = (Vec::new(), 0);
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            out.extend(filter.filter(&bytes[from..cut]));
            from = cut;
            assert!(filter.held() <= LARGEST + 14, "{} bytes are held back", filter.held());
        }
        let (expected, found) = expected(bytes);
        assert_eq!(out, expected);
        found
    });
}
