//! QUIC's own traces, on demand.

mod common;
use common::*;
use std::fs;
use zakura_transport::TransportConfig;

#[tokio::test]
async fn each_side_of_a_connection_leaves_a_trace_of_whole_json_lines() {
    let dir = tempfile::tempdir().unwrap();
    let traced = || TransportConfig { qlog_dir: Some(dir.path().to_owned()), ..config() };
    let (service, mut sessions) = handover(vec![news()]);
    let a = start_with(1, service, traced()).await;
    let b = start_with(2, Echo(vec![news()]), TransportConfig { qlog_dir: None, ..traced() }).await;
    let c = start_with(3, Echo(vec![news()]), traced()).await;
    for (peer, at) in [(&b, 2), (&c, 3)] {
        a.dial(peer).await;
        let (mut session, _done) = session(&mut sessions).await;
        within(session.frames_out.send(text("hello"))).await.unwrap();
        assert_eq!(within(session.frames_in.recv()).await, Ok(Some(text("hello"))), "peer {at}");
    }
    for node in [a, b, c] {
        node.stop().await;
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        names.push(entry.file_name().into_string().unwrap());
        let text = fs::read_to_string(entry.path()).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| {
                serde_json::from_str(line.trim_start_matches('\u{1e}')).expect("a whole line of JSON")
            })
            .collect();
        assert!(lines.len() > 5, "a handshake and a word have more events than {}", lines.len());
        let named =
            |name: &str| lines.iter().any(|line| line["name"].as_str().is_some_and(|is| is.contains(name)));
        assert!(named("packet_sent") && named("packet_received"), "{text}");
    }
    names.sort();
    let ways: Vec<_> = names.iter().map(|name| name.split('-').nth(1).unwrap()).collect();
    assert_eq!(ways.iter().filter(|way| **way == "out").count(), 2, "{names:?}");
    assert_eq!(ways.iter().filter(|way| **way == "in").count(), 1, "only where it is asked for: {names:?}");
}
