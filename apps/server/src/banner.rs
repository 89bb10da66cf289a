//! What somebody at a terminal wants to know first.

use std::{net::SocketAddr, time::Duration};

use crate::standard_error;

/// Says where to connect and what to try.
pub(crate) fn print(http: SocketAddr, base_path: &str) {
    let text = format!(
        "\n  game-realtime listens on http://{http}\n\
         \n  players:  io(\"http://{http}\", {{ path: \"{base_path}/private\", auth: {{ token }} }})\
         \n  guests:   io(\"http://{http}\", {{ path: \"{base_path}/guest\" }})\
         \n  a token:  just token alice\
         \n  try it:   just demo        (in another terminal)\n\n"
    );
    standard_error::say(text, Duration::ZERO);
}
