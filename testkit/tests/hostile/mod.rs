//! What the tests of hostile acts share.

use futures::{StreamExt, stream};
use zakura_testkit::hostile::{Act, Verdict, catalog, perform, table};

/// Acts at once: each has its own node, and most of them wait.
const JOBS: usize = 4;

/// Performs all acts of these groups. Each ends as the catalog says, in the hostile peer's eyes and in the node's own
/// words; and after each, honest peers are served by the same node, and nothing is left of the hostile one.
#[expect(clippy::print_stdout, reason = "the table is for whoever reads a test's output")]
pub(crate) async fn group(groups: &[&str]) {
    let acts: Vec<Act> = catalog().into_iter().filter(|act| groups.contains(&act.group())).collect();
    assert!(!acts.is_empty(), "no act of {groups:?}");
    let verdicts: Vec<Verdict> = stream::iter(&acts).map(perform).buffered(JOBS).collect().await;
    println!("{}", table(&verdicts));
    let failed: Vec<_> = verdicts.iter().filter(|verdict| !verdict.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
