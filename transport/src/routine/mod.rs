//! The routine kit: what a per-peer service is built from.
//!
//! A service splits into three. A [`Machine`] decides: plain synchronous Rust that owns one peer's protocol state. A
//! routine is `drive(machine, session, ..)`, the only per-peer loop, run under supervision. A reactor owns what is
//! truly shared and hears from routines through bounded events.

mod batch;
mod budget;
mod drive;
mod job;
mod machine;
mod mailbox;
mod pool;
mod run;
mod supervise;
mod work;

pub use budget::{ByteBudget, Reservation};
pub use drive::{Ends, drive};
pub use job::{
    Busy, CloseReport, Job, JobCx, JobFault, LatePolicy, WorkEvent, WorkPolicy, WorkReport, WorkSession,
};
pub use machine::{Machine, Message};
pub use mailbox::{
    Command, EventReceiver, EventSender, Farewell, Gone, Inlet, Mailbox, Overflow, Published, Publisher,
    events, inlet, publish,
};
pub use pool::WorkPool;
pub(crate) use supervise::panic_message;
pub use supervise::{TaskEnd, contain, supervise};
pub use work::{Counts, Demand, Lease, RangeQueue};
