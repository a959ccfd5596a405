//! What an embedder's recorder gets to see.

#![expect(clippy::panic, reason = "a test that cannot go on panics")]

mod common;
use common::*;
use metrics::{
    Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use zakura_transport::{
    BanTarget, CloseReason, PeerEvent,
    observe::metrics::{Kind, METRICS, Values},
};

/// Kind, name and labels of a series.
type Series = (&'static str, String, Vec<(String, String)>);

/// What was emitted and described.
#[derive(Default)]
struct Heard {
    series: BTreeMap<Series, Arc<AtomicU64>>,
    described: Vec<String>,
}

#[derive(Clone)]
struct Ear(Arc<watch::Sender<Heard>>);

/// A gauge's last value, or a histogram's number of values.
struct Cell(Arc<AtomicU64>);

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        panic!("gauges are set")
    }

    fn decrement(&self, _: f64) {
        panic!("gauges are set")
    }

    fn set(&self, value: f64) {
        self.0.store(value as u64, Ordering::Relaxed);
    }
}

impl HistogramFn for Cell {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Ear {
    fn cell(&self, kind: &'static str, key: &Key) -> Arc<AtomicU64> {
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        let series = (kind, key.name().to_owned(), labels);
        let mut cell = Arc::default();
        self.0.send_modify(|heard| cell = Arc::clone(heard.series.entry(series).or_default()));
        cell
    }

    fn described(&self, name: &KeyName) {
        self.0.send_modify(|heard| heard.described.push(name.as_str().to_owned()));
    }

    /// The sum of a metric's series that have this label.
    fn sum(&self, name: &str, label: (&str, &str)) -> u64 {
        let name = format!("zakura.transport.{name}");
        let fits =
            |labels: &[(String, String)]| labels.iter().any(|(key, value)| (&**key, &**value) == label);
        let heard = self.0.borrow();
        let series = heard.series.iter().filter(|((_, of, labels), _)| *of == name && fits(labels));
        series.map(|(_, cell)| cell.load(Ordering::Relaxed)).sum()
    }
}

impl Recorder for Ear {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described(&name);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described(&name);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell("counter", key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Cell(self.cell("gauge", key))))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Cell(self.cell("histogram", key))))
    }
}

#[tokio::test]
async fn counters_move_and_say_nothing_that_is_not_in_the_table() {
    let ear = Ear(Arc::new(watch::Sender::new(Heard::default())));
    metrics::set_global_recorder(ear.clone()).unwrap();
    let (service, mut sessions) = handover(vec![news()]);
    let (a, mut b) = (start(1, service).await, start(2, Echo(vec![news()])).await);
    a.dial(&b).await;
    let (mut at_a, done) = session(&mut sessions).await;
    for _ in 0..3 {
        within(at_a.frames_out.send(text("hello"))).await.unwrap();
        assert_eq!(within(at_a.frames_in.recv()).await, Ok(Some(text("hello"))));
    }
    drop((at_a, done));
    b.connected().await;
    assert_eq!(ear.sum("connections", ("direction", "outbound")), 1);
    hostile(&mut b).await;
    unwelcome(&mut b).await;
    a.stop().await;
    b.stop().await;
    assert_eq!(ear.sum("frames", ("way", "out")), 6, "three words, and as many echoes");
    assert_eq!(ear.sum("frames", ("stream", "news")), 12, "each is heard, too");
    assert_eq!(ear.sum("frame_bytes", ("way", "in")), 6 * (8 + 5));
    assert_eq!(ear.sum("connections.opened", ("direction", "inbound")), 2);
    assert_eq!(ear.sum("connections", ("direction", "inbound")), 0);
    assert_eq!(ear.sum("connections", ("direction", "outbound")), 0);
    assert_eq!(ear.sum("connections.closed", ("class", "violation")), 1);
    assert_eq!(ear.sum("admissions.failed", ("class", "banned")), 1);
    assert_eq!(ear.sum("violations", ("class", "malformed")), 1);
    assert_eq!(ear.sum("frames.refused", ("stream", "news")), 1);
    assert_eq!(ear.sum("streams.refused", ("code", "unknown_stream")), 1);
    assert_eq!(ear.sum("sessions.begun", ("opened_by", "us")), 1);
    assert_eq!(ear.sum("sessions.begun", ("opened_by", "peer")), 2);
    assert_eq!(ear.sum("sessions.over", ("exit", "violation")), 1);
    every_series_is_in_the_table(&ear);
}

/// A peer that is banned, and comes.
async fn unwelcome(node: &mut Node) {
    let peer = raw::raw_id(4);
    assert_eq!(node.handle.ban(BanTarget::Peer(peer), Duration::from_secs(60), "").await, Ok(()));
    let endpoint = raw::endpoint(4);
    let connection = raw::meet(&endpoint, 4, node.handle.local_addr(), paced()).await;
    while !matches!(node.event().await, PeerEvent::Refused { reason: CloseReason::Banned, .. }) {}
    drop(connection);
}

/// A peer that opens a stream of an unknown version, and then says a frame that is too large.
async fn hostile(node: &mut Node) {
    let endpoint = raw::endpoint(3);
    let connection = raw::meet(&endpoint, 3, node.handle.local_addr(), paced()).await;
    let (_send, mut recv) = raw::open(&connection, &raw::prelude(NEWS.0, 9, None, 1 << 20)).await;
    assert_eq!(raw::reset(&mut recv).await, 5);
    let mut bytes = raw::prelude(NEWS.0, 1, None, 1 << 20);
    bytes.extend(raw::frame(1, 0, u32::MAX, b""));
    let _stream = raw::open(&connection, &bytes).await;
    loop {
        let (peer, reason) = node.disconnected().await;
        if peer.id == raw::raw_id(3) {
            assert!(matches!(reason, CloseReason::Violation { .. }), "{reason}");
            return;
        }
    }
}

fn every_series_is_in_the_table(ear: &Ear) {
    let heard = ear.0.borrow();
    for (kind, name, labels) in heard.series.keys() {
        let metric = METRICS.iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
        let declared = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert_eq!(*kind, declared, "{name}");
        let keys: Vec<_> = labels.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, metric.labels.iter().map(|label| label.key).collect::<Vec<_>>(), "{name}");
        for (label, (key, value)) in metric.labels.iter().zip(labels) {
            let is_known = match label.values {
                Values::Of(values) => values.contains(&value.as_str()),
                Values::Streams => value == "news",
            };
            assert!(is_known, "{name}: {key}={value} is of no closed set");
        }
    }
    for metric in METRICS {
        assert!(heard.described.iter().any(|name| name == metric.name), "{} is not described", metric.name);
    }
}
