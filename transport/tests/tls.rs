//! Who shows no key, a wrong one or somebody else's does not get past TLS, and every connection proves its key afresh
//! (threats T04 and T08).

mod common;
use common::{raw::*, *};
use zakura_transport::{CloseReason, PeerAddr};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_ed25519_key_that_signs_gets_past_tls() {
    let node = start(1, Echo(vec![news()])).await;
    let (raw, to) = (endpoint(9), node.handle.local_addr());
    let own = spki(9);
    // An uncompressed point on P-256 (RFC 5480).
    let mut other_curve =
        vec![0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06];
    other_curve.extend([0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04]);
    other_curve.extend([7; 64]);
    for (what, entries) in [
        ("no key", vec![]),
        ("a key of another kind", vec![other_curve]),
        ("somebody else's key", vec![spki(8)]),
        ("two keys", vec![own.clone(), own.clone()]),
        ("a long chain", vec![own.clone(); 200]),
        ("a key and more", vec![[&own[..], &[0]].concat()]),
        ("a huge entry", vec![[&own[..], &[0; 60_000]].concat()]),
        ("half a key", vec![own[..20].to_vec()]),
        ("zeros", vec![vec![0; 44]]),
    ] {
        assert!(refused_by_tls(&raw, client_that_shows(9, entries), to).await, "{what}");
        assert!(node.handle.peers().is_empty(), "{what}");
    }
    let honest = meet(&raw, 9, to, paced()).await;
    assert_eq!(heard_back(&honest, NEWS).await, "hi");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_the_dialled_key_and_cannot_sign_with_it_is_not_believed() {
    let mut node = start(1, Echo(vec![news()])).await;
    let impostor = impostor(9, 8);
    let addr = impostor.local_addr().unwrap();
    let listening = async {
        while let Some(incoming) = impostor.accept().await {
            drop(incoming.await);
        }
    };
    node.handle.dial(PeerAddr { id: raw_id(8), addr }).await.unwrap();
    let reason = tokio::select! {
        biased;
        reason = node.dial_failed() => reason,
        () = listening => panic!("the impostor has left"),
    };
    assert!(matches!(reason, CloseReason::Transport(_)), "{reason}");
    let honest = start(8, Echo(vec![news()])).await;
    node.dial(&honest).await;
    assert_eq!(node.connected().await.id, raw_id(8));
    honest.stop().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_early_data_and_no_identity_from_before() {
    let mut node = start(1, Echo(vec![news()])).await;
    let (raw, to) = (endpoint(9), node.handle.local_addr());
    let eager = eager_client(9);
    for _ in 0..3 {
        let connection = dial_late(&raw, eager.clone(), to).await.expect("nobody is let in early");
        assert_eq!(hello(&connection, &RawHello::honest(9, paced())).await.len(), 112);
        assert_eq!(heard_back(&connection, NEWS).await, "hi");
        hang_up(&connection, 0, b"");
        node.disconnected().await;
    }
    node.stop().await;
}
