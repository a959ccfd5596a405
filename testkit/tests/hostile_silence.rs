//! Peers that begin and do not go on.

mod hostile;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_costs_nobody_else_and_is_nobodys_fault() {
    hostile::group(&["silence"]).await;
}
