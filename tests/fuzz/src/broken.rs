//! Input that is nearly right: something well-formed, broken in a few places.

use std::ops::{Bound, Range};

use bolero::{
    Driver, ValueGenerator,
    generator::bolero_generator::driver::{ByteSliceDriver, Options},
};

/// How many changes are made at most.
const CHANGES: usize = 6;
/// How often something is repeated at most.
const REPEATS: usize = 200;
/// How many bytes of noise come together at most.
const NOISE: usize = 8;
/// Nothing gets longer than this.
const LONGEST: usize = 1 << 16;

/// Makes bytes that begin as one of the `seeds`, or as nothing, and are changed: `words`, noise and parts
/// of other seeds are put in, parts are taken out or repeated.
#[derive(Debug, Clone, Copy)]
pub struct Broken {
    seeds: &'static [&'static str],
    words: &'static [&'static str],
}

/// As [`Broken`], as text: what is no UTF-8 is the replacement character.
#[derive(Debug, Clone, Copy)]
pub struct BrokenText(Broken);

impl Broken {
    /// Bytes that are nearly one of `seeds`.
    #[must_use]
    pub const fn bytes(seeds: &'static [&'static str], words: &'static [&'static str]) -> Self {
        Self { seeds, words }
    }

    /// Text that is nearly one of `seeds`.
    #[must_use]
    pub const fn text(
        seeds: &'static [&'static str],
        words: &'static [&'static str],
    ) -> BrokenText {
        BrokenText(Self::bytes(seeds, words))
    }

    /// What these random bytes lead to, always the same: for whoever has a seed of their own.
    #[must_use]
    pub fn made_of(&self, random: &[u8]) -> Vec<u8> {
        let mut driver = ByteSliceDriver::new(random, &Options::default());
        self.generate(&mut driver).unwrap_or_default()
    }

    fn change<D: Driver>(&self, driver: &mut D, bytes: &mut Vec<u8>) -> Option<()> {
        let at = below(driver, bytes.len() + 1)?;
        match below(driver, 8)? {
            0 => put(bytes, at, one_of(driver, self.words)?.as_bytes()),
            1 => {
                let times = below(driver, REPEATS)?;
                put(bytes, at, one_of(driver, self.words)?.repeat(times).as_bytes());
            }
            2 => {
                let noise: Option<Vec<u8>> =
                    (0..below(driver, NOISE)?).map(|_| driver.produce()).collect();
                put(bytes, at, &noise?);
            }
            3 => {
                let byte = driver.produce()?;
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
            }
            4 => {
                bytes.drain(range(driver, bytes)?);
            }
            5 => {
                let part = bytes.get(range(driver, bytes)?)?.to_vec();
                put(bytes, at, &part);
            }
            6 => {
                let other = one_of(driver, self.seeds)?.as_bytes();
                put(bytes, at, other.get(range(driver, other)?)?);
            }
            _ => bytes.truncate(at),
        }
        Some(())
    }
}

impl ValueGenerator for Broken {
    type Output = Vec<u8>;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Vec<u8>> {
        let mut bytes = match below(driver, 16)? {
            0 => Vec::new(),
            _ => one_of(driver, self.seeds)?.as_bytes().to_vec(),
        };
        // Mostly few: what is quite wrong is refused at the first look.
        let changes = below(driver, CHANGES + 1)?.min(below(driver, CHANGES + 1)?);
        for _ in 0..changes {
            self.change(driver, &mut bytes)?;
            bytes.truncate(LONGEST);
        }
        Some(bytes)
    }
}

impl ValueGenerator for BrokenText {
    type Output = String;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<String> {
        self.0.generate(driver).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A number below `end`, which must not be 0.
pub fn below<D: Driver>(driver: &mut D, end: usize) -> Option<usize> {
    driver.gen_usize(Bound::Included(&0), Bound::Excluded(&end))
}

fn one_of<D: Driver>(driver: &mut D, texts: &[&'static str]) -> Option<&'static str> {
    if texts.is_empty() { Some("") } else { texts.get(below(driver, texts.len())?).copied() }
}

fn range<D: Driver>(driver: &mut D, bytes: &[u8]) -> Option<Range<usize>> {
    let begin = below(driver, bytes.len() + 1)?;
    let end = begin + below(driver, bytes.len() - begin + 1)?;
    Some(begin..end)
}

fn put(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    bytes.splice(at..at, what.iter().copied());
}
