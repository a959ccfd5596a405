//! Starting and stopping the long-lived parts of a node, and telling the truth about both.
//!
//! A [`Managed`] service is a task that says itself when it is ready and ends when it is asked to. A [`Lifecycle`]
//! collects them, refuses two of one name, and starts them one after another, each once the one before is ready.
//! [`Running::stop`] ends them in the reverse order. Two [reports](StartReport) say what came of it.
//!
//! ```
//! # use std::convert::Infallible;
//! # use zakura_transport::{Spawner, lifecycle::{Lifecycle, Managed, ServiceCx, StopLimits}};
//! struct Clockwork;
//!
//! impl Managed for Clockwork {
//!     type Error = Infallible;
//!     fn name(&self) -> &'static str { "clockwork" }
//!     async fn run(self, cx: ServiceCx) -> Result<(), Infallible> {
//!         // .. what can fail comes before this line, and tells why by its error
//!         cx.ready();
//!         cx.cancel().cancelled().await;
//!         Ok(())
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! let mut lifecycle = Lifecycle::new(StopLimits::RECOMMENDED);
//! lifecycle.add(Clockwork)?;
//! let (running, report) = lifecycle.start(&Spawner::new()).await?;
//! assert_eq!(report.ready, ["clockwork"]);
//! assert_eq!(running.stop().await.stopped, ["clockwork"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # What it must honour, and where that is tested
//!
//! | lesson | test |
//! | --- | --- |
//! | "started" is what a service says of itself | `started_is_what_a_service_says_of_itself` |
//! | .. and not that five seconds have passed | `silence_is_not_readiness` |
//! | "stopped" means that its task has ended | `stopped_means_that_the_task_has_ended` |
//! | a forced stop waits less and hides nobody | `a_forced_stop_waits_less_and_names_the_same_stragglers` |
//! | a required service that fails takes back those before it | `a_required_service_that_fails_takes_back_those_before_it` |
//! | errors of many services are all collected | `errors_of_many_services_are_all_collected` |
//! | two of one name are refused beforehand | `two_services_of_one_name_are_refused_before_anything_runs` |
//! | conflicting streams too, and the capability list has one order | `service.rs`: `conflicts_are_refused_and_leave_the_registry_as_it_was`, `the_offer_does_not_depend_on_who_came_first` |
//! | no lock is held across a service's call | there is none: the house's rule `lock_whitelist`, and `a_service_may_end_another_while_it_is_asked_to_end` |

mod reactor;
mod registry;
mod report;
mod running;
mod service;

pub use reactor::Reactor;
pub use registry::{DuplicateName, Lifecycle, START_WINDOW, StartError};
pub use report::{ServiceFailure, StartReport, StopLimits, StopReport, Why};
pub use running::{LAST_WAIT, Running};
pub use service::{Managed, ServiceCx};
