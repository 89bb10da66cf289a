//! A connection is an open file: there have to be enough of them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the program opens besides.
const OTHERS: u64 = 64;

/// Not so many connections are possible.
#[derive(Debug, thiserror::Error)]
#[error(
    "{connections} connections need {needed} open files, {allowed} are allowed: raise `ulimit -n`"
)]
pub struct TooFew {
    connections: u32,
    needed: u64,
    allowed: u64,
}

/// Makes room for so many connections, as far as the system lets this process.
///
/// # Errors
/// When it does not.
pub fn allow(connections: u32) -> Result<(), TooFew> {
    let needed = u64::from(connections) + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if maximum.is_none_or(|maximum| maximum >= needed)
        && setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).is_ok()
    {
        return Ok(());
    }
    Err(TooFew { connections, needed, allowed: maximum.or(current).unwrap_or(0) })
}
