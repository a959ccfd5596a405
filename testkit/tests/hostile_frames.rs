//! Frames that are none, too large or too many.

mod hostile;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_frame_costs_the_connection() {
    hostile::group(&["frames"]).await;
}
