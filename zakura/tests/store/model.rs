//! The store beside a naive one, which keeps whole chains.

use super::files::reopen;
use super::{HARDER, bodies, branch, genesis, height};
use proptest::prelude::*;
use tempfile::TempDir;
use zakura::zcash::network::REGTEST_BITS;
use zakura_block_sync::ports::{BlockStore, Commit, Missing};
use zakura_header_sync::chain::{BlockRef, Height, Work};
use zakura_header_sync::ports::{Accept, HeaderChain};

/// What the store should hold, kept the simplest way: whole chains.
struct Model {
    chain: Vec<(BlockRef, u128)>,
    bodies: usize,
    floor: usize,
}

#[derive(Debug, Clone)]
enum Step {
    Accept { fork: prop::sample::Index, salt: u64, hard: bool, count: usize },
    Commit { count: usize },
    Finalize { at: prop::sample::Index },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<prop::sample::Index>(), 0..4_u64, any::<bool>(), 1..30_usize)
            .prop_map(|(fork, salt, hard, count)| Step::Accept { fork, salt, hard, count }),
        3 => (1..20_usize).prop_map(|count| Step::Commit { count }),
        1 => any::<prop::sample::Index>().prop_map(|at| Step::Finalize { at }),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

/// Applies a batch to the model and says how the store should answer.
fn model_accept(model: &mut Model, fork: usize, refs: &[BlockRef], work: u128) -> &'static str {
    let known = refs.iter().zip(&model.chain[fork + 1..]).take_while(|(new, old)| **new == old.0).count();
    let fork = fork + known;
    let new = &refs[known..];
    if new.is_empty() {
        return "known";
    }
    if fork < model.floor {
        return "below floor";
    }
    if model.chain[fork].1 + work * new.len() as u128 <= model.chain.last().unwrap().1 {
        return "not better";
    }
    model.chain.truncate(fork + 1);
    model.bodies = model.bodies.min(fork);
    for at in new {
        let sum = model.chain.last().unwrap().1 + work;
        model.chain.push((*at, sum));
    }
    model.floor = model.floor.max((model.chain.len() - 1).saturating_sub(100));
    "extended"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_a_naive_one(steps in steps()) {
        let dir = TempDir::new().unwrap();
        let mut store = reopen(dir.path()).unwrap();
        let mut model = Model { chain: vec![(genesis(), 17)], bodies: 0, floor: 0 };
        for step in steps {
            let former = store.view();
            match step {
                Step::Accept { fork, salt, hard, count } => {
                    // Half of the forks are near the tip, where most of them are.
                    let from = if hard { 0 } else { model.chain.len().saturating_sub(5) };
                    let fork = from + fork.index(model.chain.len() - from);
                    let (bits, work) = if hard { (HARDER, 34) } else { (REGTEST_BITS, 17) };
                    let (refs, batch) = branch(model.chain[fork].0, salt, bits, count);
                    let tip_was_fork = fork + 1 == model.chain.len();
                    let expected = model_accept(&mut model, fork, &refs, work);
                    let verdict = match store.accept(batch) {
                        Accept::Extended(view) => {
                            prop_assert_eq!(view, store.view());
                            if tip_was_fork { prop_assert_eq!(view.fence, former.fence); }
                            "extended"
                        }
                        Accept::Known => "known",
                        Accept::NotBetter => "not better",
                        Accept::BelowFloor => "below floor",
                        other => panic!("{other:?}"),
                    };
                    prop_assert_eq!(verdict, expected);
                }
                Step::Commit { count } => {
                    let end = (model.bodies + count).min(model.chain.len() - 1);
                    let refs: Vec<_> = model.chain[model.bodies + 1..=end].iter().map(|(at, _)| *at).collect();
                    let expected = refs.last().map_or(Commit::Stale, |last| Commit::Committed(*last));
                    prop_assert_eq!(store.commit(bodies(&refs)), expected);
                    model.bodies = end;
                }
                Step::Finalize { at } => {
                    let at = at.index(model.chain.len());
                    store.finalize(model.chain[at].0);
                    model.floor = model.floor.max(at);
                }
                Step::Reopen => {
                    drop(store);
                    store = reopen(dir.path()).unwrap();
                }
            }
            let view = store.view();
            let tip = model.chain.last().unwrap();
            prop_assert_eq!(view.tip, tip.0);
            prop_assert_eq!(view.finalized, model.chain[model.floor].0);
            let mut work = [0; 32];
            work[..16].copy_from_slice(&(tip.1 - model.chain[model.floor].1).to_le_bytes());
            prop_assert_eq!(view.work, Work::from_le_bytes(work));
            prop_assert_eq!(store.acknowledged(), model.chain[model.bodies].0);
            for (at, _) in &model.chain {
                prop_assert_eq!(store.hash_at(at.height), Some(at.hash));
                prop_assert_eq!(store.find(&at.hash), Some(at.height));
            }
            prop_assert_eq!(store.hash_at(height(model.chain.len() as u32)), None);
            let Missing::Bodies(wanted) = store.missing(Height::GENESIS, usize::MAX, view.fence) else { panic!() };
            let missing: Vec<_> = model.chain[model.bodies + 1..].iter().map(|(at, _)| *at).collect();
            prop_assert_eq!(wanted.iter().map(|body| body.at).collect::<Vec<_>>(), missing);
            prop_assert_eq!(store.read(height(1), u32::MAX, u32::MAX).unwrap().len(), model.bodies);
        }
    }
}
