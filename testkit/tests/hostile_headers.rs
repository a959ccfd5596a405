//! Header sync with somebody who asks, claims and answers wrongly.

mod hostile;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_headers_are_named_and_right_ones_taken_from_others() {
    hostile::group(&["headers", "pages"]).await;
}
