//! Streams that nobody may open so.

mod hostile;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_opened_wrongly_costs_what_wire_4_says() {
    hostile::group(&["streams"]).await;
}
