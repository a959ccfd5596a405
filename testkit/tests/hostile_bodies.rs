//! Block sync with somebody who asks, claims and delivers wrongly.

mod hostile;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_bodies_are_named_and_right_ones_taken_from_others() {
    hostile::group(&["blocks", "bodies"]).await;
}
