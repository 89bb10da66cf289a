//! What etcd may hold, given keys and records that this gateway never wrote.

mod keys;
mod records;
