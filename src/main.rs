//! The order of the day.
fn main() {}
