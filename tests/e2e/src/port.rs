//! Free ports on loopback.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below those that the system gives to connections (`net.ipv4.ip_local_port_range`): a suite opens
/// thousands, and one of them would take the port before the server that it is meant for.
const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;

/// A port that is free, and that this process was not given before.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Processes that run at the same time begin at different places.
    let begin = process::id().wrapping_mul(997);
    (0..COUNT)
        .map(|_| FIRST + begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a port is free")
}
