//! A peer does not decide how much we log (threat T07).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
use common::{net::Net, *};
use std::{
    fmt::{Debug, Write},
    fs,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use zakura_transport::{CloseReason, TransportConfig, observe::LINE_EVERY};

/// Keeps the lines that an operator sees by default.
struct Lines(Arc<watch::Sender<Vec<String>>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = event.metadata().target().to_owned();
        event.record(&mut Fields(&mut line));
        self.0.send_modify(|lines| lines.push(line));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_makes_us_panic_again_and_again_gets_one_line_a_minute() {
    let lines = Arc::new(watch::Sender::new(Vec::new()));
    let _listening = tracing::subscriber::set_default(Lines(Arc::clone(&lines)));
    let net = Net::default();
    let on = |last: u8| {
        let listen = SocketAddr::from(([10, 0, 0, last], 8234));
        TransportConfig { listen, socket: Some(net.socket(listen)), ..config() }
    };
    let (service, mut sessions) = handover(vec![news()]);
    let hostile = start_with(1, service, on(1)).await;
    let mut node = start_with(2, Echo(vec![news()]), on(2)).await;
    let mut provoke = async || {
        hostile.handle.dial(node.handle.local_peer()).await.unwrap();
        let (mut session, _done) = session(&mut sessions).await;
        within(session.frames_out.send(text("panic"))).await.unwrap();
        let (_, reason) = node.disconnected().await;
        assert!(matches!(reason, CloseReason::Panicked { .. }), "{reason}");
        // Both ends have forgotten the connection before the next dial.
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    for _ in 0..5 {
        provoke().await;
    }
    let seen = lines.borrow().clone();
    let [line] = seen.as_slice() else { panic!("one line, not {}: {seen:#?}", seen.len()) };
    assert!(line.starts_with("zakura::peer ") && line.contains("left_out=0"), "{line}");
    assert!(line.contains("connection over") && line.contains("our routine of news panicked"), "{line}");
    tokio::time::sleep(LINE_EVERY).await;
    provoke().await;
    let seen = lines.borrow().clone();
    assert_eq!(seen.len(), 2, "{seen:#?}");
    assert!(seen[1].contains("left_out=4"), "{}", seen[1]);
    hostile.stop().await;
    node.stop().await;
}

/// Lines that no peer can provoke more than once in a node's life: its end and what begins it.
const UNRATIONED: [(&str, usize); 3] = [("lifecycle/service.rs", 1), ("pool/actor.rs", 2), ("spawner.rs", 1)];

#[test]
fn every_line_that_a_peer_can_provoke_is_rationed() {
    let mut found = Vec::new();
    look_into(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    found.sort();
    let expected: Vec<_> = UNRATIONED.iter().map(|(file, count)| ((*file).to_owned(), *count)).collect();
    assert_eq!(found, expected, "write `rationed!`, or say above why nobody can provoke the line");
}

fn look_into(folder: &Path, name: &str, found: &mut Vec<(String, usize)>) {
    for entry in fs::read_dir(folder.join(name)).unwrap() {
        let entry = entry.unwrap();
        let own = entry.file_name().into_string().unwrap();
        let below = if name.is_empty() { own } else { format!("{name}/{own}") };
        if entry.file_type().unwrap().is_dir() {
            look_into(folder, &below, found);
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let loud = ["error", "warn", "info"].map(|level| format!("tracing::{level}!("));
        let count = loud.iter().map(|call| text.matches(call.as_str()).count()).sum();
        if count > 0 {
            found.push((below, count));
        }
    }
}
