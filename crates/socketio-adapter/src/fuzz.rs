//! Everything that reads what clients and proxies send, given what they should not send.

mod client_frames;
mod headers;
mod join;
mod packets;
mod polling_payloads;
mod queries;
