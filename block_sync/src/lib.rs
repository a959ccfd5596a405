//! Block sync: bodies from many peers at once, committed in order.

pub mod ports;
pub mod wire;
