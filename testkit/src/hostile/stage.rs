//! One act against a node in this process, which can be asked what it made of it.

use super::{
    Act, Name, Needs, Outcome, Raw, Trouble, Verdict, Victim, Visitor, identity, soon,
    target::{after, judge, set},
};
use crate::{
    chain::{append, mined},
    cluster::Member,
};
use futures::FutureExt;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use zakura::{
    store::{Store, StoreOptions},
    zcash::{Network, Parent},
};
use zakura_transport::{CloseReason, PeerAddr, PeerEvent, PeerEvents, PeerId};

/// The victim's number among a test's identities.
const VICTIM: u8 = 200;
/// Blocks that the victim has.
const LENGTH: u32 = 3;
/// Pause before the status is read again: nothing tells when it has changed.
const AGAIN: Duration = Duration::from_millis(10);

/// Runs an act against a fresh node of our own, and asks the node too.
pub async fn perform(act: &Act) -> Verdict {
    let (mut verdict, began) = (Verdict::of(act), Instant::now());
    verdict.trouble = whole(act, &mut verdict).await.err().map(|trouble| trouble.0);
    verdict.millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    verdict
}

async fn whole(act: &Act, verdict: &mut Verdict) -> Result<(), Trouble> {
    let store = Store::in_memory(Network::Regtest, StoreOptions::default()).map_err(Trouble::of)?;
    append(&store, &mined(Parent::genesis(), LENGTH, 1)).map_err(Trouble::of)?;
    let node = Member::start(VICTIM, &Arc::new(store), &[]).await.map_err(Trouble::of)?;
    let suffered = suffer(act, &node, verdict).await;
    let stopped = node.stop().await.map_err(|why| Trouble(format!("the node's end: {why}")));
    suffered.and(stopped)
}

async fn suffer(act: &Act, node: &Member, verdict: &mut Verdict) -> Result<(), Trouble> {
    let idle = node.handle.tasks();
    let mut witness = Witness { events: node.handle.peer_events(), heard: Vec::new() };
    let victim = Victim {
        name: Name { id: *node.id().as_bytes(), addr: node.peer().addr },
        network: Network::Regtest.wire_id(),
        genesis: Network::Regtest.genesis_hash(),
    };
    let mut bystander = Visitor::meet(victim, &identity(0, act.name, "bystander")).await?;
    let raw = Raw::bind(&identity(0, act.name, "hostile"), victim.name.addr)?;
    let hostile = PeerId::new(raw.name()?.id);
    let scene = set(act, &raw, &mut bystander, victim).await?;
    let book = scene.book.clone();
    if act.needs == Needs::Dial {
        let peer = PeerAddr { id: hostile, addr: raw.name()?.addr };
        node.handle.add_peer(peer).await.map_err(Trouble::of)?;
    }

    let ending = (act.run)(scene).await?;
    judge(act, &ending, verdict)?;
    verdict.account = witness.account(act.expected, hostile).await?;
    after(act, victim, 0, book, &mut bystander).await?;

    // While the others were served, nothing else came of it; and when all have left, nothing is left of them.
    witness.never_before_leaving(act.expected, hostile)?;
    blames_nobody_else(act.expected, node, hostile)?;
    node.handle.remove_peer(hostile).await.map_err(Trouble::of)?;
    raw.leave().await;
    bystander.leave().await;
    drop(ending);
    let empty = soon("the node's tasks to be those of an idle one", node.handle.tasks_are(&idle)).await;
    empty.map_err(|late| Trouble(format!("{late}: {idle:?}, not {:?}", node.handle.tasks())))?;
    let forgotten = soon("the node's status to show nobody", async {
        while lingers(node) {
            sleep(AGAIN).await;
        }
    });
    forgotten.await.map_err(|late| Trouble(format!("{late}: {:?}", node.handle.peers())))
}

/// Whether the node shows anybody as connected.
fn lingers(node: &Member) -> bool {
    let (headers, blocks) = (node.handle.headers().status(), node.handle.blocks().status());
    !node.handle.peers().is_empty()
        || headers.peers.iter().any(|peer| peer.connected)
        || blocks.per_peer.iter().any(|peer| peer.connected)
}

/// Convictions name the hostile peer, and only where a violation was to be found.
fn blames_nobody_else(expected: Outcome, node: &Member, hostile: PeerId) -> Result<(), Trouble> {
    let headers = node.handle.headers().status();
    let blocks = node.handle.blocks().status();
    let named = headers.convictions.iter().map(|c| (c.peer, c.rule));
    let wrongly = named.chain(blocks.convictions.iter().map(|c| (c.peer, c.rule))).find(|(peer, rule)| {
        *peer != hostile || !matches!(expected, Outcome::Violation(wanted) if wanted == *rule)
    });
    match wrongly {
        Some((peer, rule)) => Err(Trouble(format!("{peer} is convicted of {rule}"))),
        None => Ok(()),
    }
}

/// What the node has told of its connections.
struct Witness {
    events: PeerEvents,
    heard: Vec<PeerEvent>,
}

impl Witness {
    /// The node's own words for what was to come; none if nothing was.
    async fn account(&mut self, expected: Outcome, hostile: PeerId) -> Result<Option<String>, Trouble> {
        if matches!(expected, Outcome::Dropped | Outcome::Reset(_) | Outcome::Parked | Outcome::Kept) {
            return Ok(None);
        }
        let told = async {
            loop {
                let event = self.events.recv().await.map_err(Trouble::of)?;
                self.heard.push(event.clone());
                if let Some(reason) = ended(&event, hostile) {
                    return Ok(reason);
                }
            }
        };
        let reason: CloseReason = soon("the node to say what happened", told).await??;
        let words = reason.to_string();
        let fits = match (expected, &reason) {
            (Outcome::Refused(why) | Outcome::AckRefused(why), CloseReason::HandshakeRefused(_)) => {
                words.contains(why)
            }
            (Outcome::TooSmall, CloseReason::LimitsTooSmall) => true,
            (Outcome::Violation(rule), CloseReason::Violation { violation, .. }) => {
                violation.rule() == rule && !violation.evidence().is_empty() && violation.class().closes()
            }
            _ => false,
        };
        if fits {
            Ok(Some(words))
        } else {
            Err(Trouble(format!("expected {expected}, the node says: {words}")))
        }
    }

    /// Where nothing was to come, the hostile peer is still there; where it was dropped, it never was.
    fn never_before_leaving(&mut self, expected: Outcome, hostile: PeerId) -> Result<(), Trouble> {
        while let Some(Ok(event)) = self.events.recv().now_or_never() {
            self.heard.push(event);
        }
        let connected = |event: &PeerEvent| matches!(event, PeerEvent::Connected(peer) if peer.id == hostile);
        let gone = self.heard.iter().find_map(|event| ended(event, hostile));
        match expected {
            Outcome::Reset(_) | Outcome::Parked | Outcome::Kept => match gone {
                Some(reason) => Err(Trouble(format!("the hostile peer was to be kept: {reason}"))),
                None => Ok(()),
            },
            Outcome::Dropped if self.heard.iter().any(connected) || gone.is_some() => {
                Err(Trouble::of("the hostile peer was to be dropped before it is known"))
            }
            Outcome::Dropped
            | Outcome::Refused(_)
            | Outcome::AckRefused(_)
            | Outcome::TooSmall
            | Outcome::Violation(_) => Ok(()),
        }
    }
}

/// Why the node has no connection with this peer, if the event says so.
fn ended(event: &PeerEvent, id: PeerId) -> Option<CloseReason> {
    match event {
        PeerEvent::Disconnected { peer, reason } if peer.id == id => Some(reason.clone()),
        PeerEvent::DialFailed { peer, reason } if peer.id == id => Some(reason.clone()),
        PeerEvent::Refused { peer, reason, .. } if *peer == id => Some(reason.clone()),
        _ => None,
    }
}
