//! One act against a node somewhere: judged by what can be seen from outside.

use super::{Act, Ending, Needs, Raw, Scene, Server, Trouble, Verdict, Victim, Visitor, identity, soon};
use tokio::time::Instant;

/// Blocks that continue the victim's chain, for acts that need some.
const AHEAD: u32 = 2;

/// Runs an act against the node at an address. `number` chooses the identities: a node remembers them for a while.
pub async fn perform_on(act: &Act, victim: Victim, number: u64) -> Verdict {
    let mut verdict = Verdict::of(act);
    verdict.skipped = match act.needs {
        Needs::Dial => Some("needs a node that can be told to dial"),
        Needs::Ahead if victim.network != 3 => Some("needs blocks that can be mined"),
        Needs::Ahead | Needs::Nothing => None,
    };
    let began = Instant::now();
    if verdict.skipped.is_none() {
        verdict.trouble = whole(act, victim, number, &mut verdict).await.err().map(|trouble| trouble.0);
    }
    verdict.millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    verdict
}

async fn whole(act: &Act, victim: Victim, number: u64, verdict: &mut Verdict) -> Result<(), Trouble> {
    let mut bystander = Visitor::meet(victim, &identity(number, act.name, "bystander")).await?;
    let raw = Raw::bind(&identity(number, act.name, "hostile"), victim.name.addr)?;
    let scene = set(act, &raw, &mut bystander, victim).await?;
    let book = scene.book.clone();
    let ending = (act.run)(scene).await?;
    judge(act, &ending, verdict)?;
    after(act, victim, number, book, &mut bystander).await?;
    raw.leave().await;
    bystander.leave().await;
    drop(ending);
    Ok(())
}

/// The scene of an act, as an honest bystander learns it.
pub(super) async fn set(
    act: &Act,
    raw: &Raw,
    bystander: &mut Visitor,
    victim: Victim,
) -> Result<Scene, Trouble> {
    let mut book = bystander.book().await?;
    if act.needs == Needs::Ahead {
        let before = book.tip().0;
        book.mine(AHEAD, 7);
        if book.tip().0 == before {
            return Err(Trouble::of("the victim has no block to mine on: give it a chain first"));
        }
    }
    Ok(Scene { victim, raw: raw.clone(), id: raw.name()?.id, book })
}

/// Holds what was seen against what was to be seen.
pub(super) fn judge(act: &Act, ending: &Ending, verdict: &mut Verdict) -> Result<(), Trouble> {
    verdict.seen = ending.seen.to_string();
    if ending.seen == act.expected.seen() {
        return Ok(());
    }
    Err(Trouble(format!("seen: {}, expected: {}", ending.seen, act.expected.seen())))
}

/// The victim still serves who was there before and who comes now; and what the act was about, it takes from an honest
/// peer.
pub(super) async fn after(
    act: &Act,
    victim: Victim,
    number: u64,
    book: super::Book,
    bystander: &mut Visitor,
) -> Result<(), Trouble> {
    let honest =
        |who: &'static str| move |trouble: Trouble| Trouble(format!("the honest {who} after it: {trouble}"));
    bystander.asks().await.map_err(honest("bystander"))?;
    let mut newcomer =
        Visitor::meet(victim, &identity(number, act.name, "newcomer")).await.map_err(honest("newcomer"))?;
    newcomer.asks().await.map_err(honest("newcomer"))?;
    if act.needs == Needs::Ahead {
        let (height, hash) = book.tip();
        let mut server = Server::meet(victim, &identity(number, act.name, "server"), book).await?;
        let taken = async {
            tokio::select! {
                biased;
                taken = newcomer.block(height, hash) => taken,
                end = server.serve() => Err(end),
            }
        };
        soon("the victim to take what the act was about", taken).await?.map_err(honest("server"))?;
        server.leave().await;
    }
    newcomer.leave().await;
    Ok(())
}
