//! Where tests let the node panic. Nothing is left of it without the feature `panic-points`.

/// The file in the working directory that names the point which panics next.
#[cfg(feature = "panic-points")]
const ORDER: &str = "panic-point";

/// Panics if that is ordered: if the file `panic-point` in the working directory holds this name. The
/// file is removed first, so that each order is carried out once.
#[cfg(feature = "panic-points")]
#[expect(clippy::panic, reason = "that is what it is for")]
#[track_caller]
pub fn panic_point(name: &'static str) {
    let ordered = std::fs::read_to_string(ORDER).is_ok_and(|order| order == name);
    if ordered && std::fs::remove_file(ORDER).is_ok() {
        panic!("somebody's words, at {name}");
    }
}

/// Does nothing.
#[cfg(not(feature = "panic-points"))]
#[inline]
pub fn panic_point(_name: &'static str) {}
