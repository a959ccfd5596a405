//! One connection with one peer: its streams, their sessions, and its end.

mod actor;
mod answer;
mod arrival;
mod ask;
mod frames_in;
mod frames_out;
mod heard;
mod pace;
mod shared;
mod slots;
mod staged;
mod terms;
mod throttle;

pub use ask::Response;

pub(crate) use actor::{Connection, Stop};
pub(crate) use ask::Requester;
pub(crate) use frames_in::FramesIn;
pub(crate) use frames_out::FramesOut;
pub(crate) use pace::Pace;
pub(crate) use throttle::Meters;
