//! What somebody at a terminal wants to know first.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
};

/// Says where to connect and what to try.
pub(crate) fn print(http: SocketAddr, base_path: &str) {
    let text = format!(
        "\n  game-realtime listens on http://{http}\n\
         \n  players:  io(\"http://{http}\", {{ path: \"{base_path}/private\", auth: {{ token }} }})\
         \n  guests:   io(\"http://{http}\", {{ path: \"{base_path}/guest\" }})\
         \n  a token:  just token alice\
         \n  try it:   just demo        (in another terminal)\n\n"
    );
    // On a terminal that is gone there is nobody to tell.
    io::stderr().write_all(text.as_bytes()).ok();
}
