//! What stands between real nodes, and what their clocks say: a symmetric NAT, wrong bytes, a wall clock that jumps.

use std::{sync::Arc, time::Duration};
use zakura::store::Store;
use zakura_header_sync::ports::HeaderChain;
use zakura_testkit::sim::{
    Account, Chance, Genesis, Nat, NodeIndex, Outfit, PathShape, Wall, World, WorldError, run, store,
    store_by, store_with,
};
use zakura_transport::PeerAddr;

const A: NodeIndex = NodeIndex(0);
const B: NodeIndex = NodeIndex(1);
const C: NodeIndex = NodeIndex(2);
const MINUTE: Duration = Duration::from_secs(60);

fn tells(account: &Account, words: &str) -> bool {
    account.trace.words.iter().any(|(_, text)| text.contains(words))
}

#[test]
fn whoever_a_node_behind_a_symmetric_nat_calls_is_served_and_nobody_else_gets_in() {
    let genesis = Genesis { usual_path: PathShape::clean(Duration::from_millis(25)), ..Genesis::rough(5) };
    let ended = run(genesis, async |world: &mut World<Store>| {
        let source = store_with(50, 1)?;
        let tip = source.view().tip;
        world.add(Outfit { nat: Nat::Symmetric { idle: MINUTE }, ..Outfit::usual(source) })?;
        for _ in [B, C] {
            world.add(Outfit::usual(store()?))?;
        }
        world.introduce(A, B).await?;
        for node in [A, B, C] {
            world.start(node).await?;
        }
        world.commits(B, tip, MINUTE).await?;
        let own = world.peer(A)?;
        let seen = world.handle(B)?.peers()[0].addr;
        assert_eq!((seen.ip(), seen.port() == own.addr.port()), (own.addr.ip(), false));
        for addr in [own.addr, seen] {
            world.handle(C)?.add_peer(PeerAddr { id: own.id, addr }).await.unwrap();
            world.pass(MINUTE).await;
        }
        assert_eq!(world.handle(C)?.peers(), []);
        assert_eq!(world.handle(B)?.peers()[0].addr, seen, "what is kept alive stays where it is");
        Ok::<_, WorldError>(())
    });
    let account = ended.unwrap().account;
    assert!(tells(&account, "2: did not reach 0"), "{:#?}", account.trace.words);
}

#[test]
fn a_wrong_byte_costs_a_datagram_and_never_a_connection() {
    let spoil = Chance::percent(5);
    let usual_path = PathShape { spoil, ..PathShape::clean(Duration::from_millis(25)) };
    let ended = run(Genesis { usual_path, ..Genesis::rough(5) }, async |world: &mut World<Store>| {
        let source = store_with(300, 1)?;
        let tip = source.view().tip;
        for store in [source, store()?] {
            world.add(Outfit::usual(store))?;
        }
        world.introduce(B, A).await?;
        for node in [A, B] {
            world.start(node).await?;
        }
        world.commits(B, tip, 10 * MINUTE).await?;
        world.pass(10 * MINUTE).await;
        Ok::<_, WorldError>(())
    });
    let account = ended.unwrap().account;
    assert!(account.traffic.spoiled > 20, "{:?}", account.traffic);
    assert!(!tells(&account, "lost"), "{:#?}", account.trace.words);
}

#[test]
fn whose_clock_is_decades_behind_waits_blames_nobody_and_syncs_when_it_is_set_right() {
    const DECADES: i64 = 30 * 365 * 86_400;
    let ended = run(Genesis::rough(5), async |world: &mut World<Store>| {
        let (source, wall) = (store_with(50, 1)?, Wall::new());
        let tip = source.view().tip;
        world.add(Outfit::usual(source))?;
        let store = store_by(Arc::new(wall.clone()))?;
        world.add(Outfit { wall: wall.clone(), ..Outfit::usual(store) })?;
        world.introduce(B, A).await?;
        for node in [A, B] {
            world.start(node).await?;
        }
        wall.jump(-DECADES);
        world.pass(MINUTE).await;
        let (headers, blocks) = (world.handle(B)?.headers().status(), world.handle(B)?.blocks().status());
        assert_eq!(blocks.header_tip.height.get(), 0, "{headers:?}");
        assert_eq!((headers.convictions.len(), blocks.convictions.len()), (0, 0), "{headers:?}");
        wall.jump(DECADES);
        world.commits(B, tip, 10 * MINUTE).await?;
        // One that jumps while all is well changes nothing.
        for by in [86_400, -2 * 86_400] {
            world.outfit(A)?.wall.jump(by);
            wall.jump(by);
            world.pass(10 * MINUTE).await;
        }
        Ok::<_, WorldError>(())
    });
    let account = ended.unwrap().account;
    assert!(!tells(&account, "lost"), "{:#?}", account.trace.words);
}
