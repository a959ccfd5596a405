//! Real processes over real files, ended by `kill -9`.
//!
//! Set by the environment: `ZAKURA_KILL_BLOCKS`, how long the synced chain is, in blocks of about 100 kB (3,000 is the full
//! measure); `ZAKURA_KILL_POINTS`, at how many heights the syncing node is killed (30 is the full measure), three times
//! each; `ZAKURA_KILL_SERVER_POINTS`, how often the serving node is killed; `ZAKURA_KILL_SEED`, which moments it hits.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is how a test speaks")]
#![allow(clippy::disallowed_methods, reason = "real processes end by the real clock")]

mod processes;
mod serving;
mod syncing;
