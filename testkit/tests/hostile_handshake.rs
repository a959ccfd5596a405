//! Peers that do not shake hands as they should.

mod hostile;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_handshake_is_refused_for_its_own_reason() {
    hostile::group(&["handshake"]).await;
}
