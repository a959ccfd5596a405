//! Answers with bodies that are not what their header says (wire 5.3, threats 1.5). The headers are right, and the victim
//! has taken them; so it wants the bodies, and must get them from somebody else.

use crate::hostile::{
    Act, Ending, Needs,
    Outcome::{self, Kept, Violation},
    Run, Scene, Seen, Server, Trouble,
    server::Asked,
    wire::range_unavailable,
};

/// The rule that a wrong body breaks.
const WRONG: Outcome = Violation("body does not match its header");

pub(super) fn acts() -> Vec<Act> {
    let act = |name, breaks, what, expected, run: Run| Act {
        name,
        breaks,
        what,
        needs: Needs::Ahead,
        expected,
        run,
    };
    vec![
        // Only the merkle root tells: the lock time stands before expiry, balance and three empty lists.
        act("bodies/altered", "threats BS04", "the coinbase has another lock time", WRONG, |scene| {
            Box::pin(delivers(scene, |raw| {
                let lock_time = raw.len().saturating_sub(4 + 4 + 8 + 3);
                raw.get_mut(lock_time).into_iter().for_each(|byte| *byte ^= 1);
            }))
        }),
        act("bodies/truncated", "threats BS04", "the last byte is missing", WRONG, |scene| {
            Box::pin(delivers(scene, |raw| raw.truncate(raw.len().saturating_sub(1))))
        }),
        act("bodies/header-only", "threats BS04", "a header without its body", WRONG, |scene| {
            Box::pin(delivers(scene, |raw| raw.truncate(177)))
        }),
        act("bodies/trailing-byte", "threats BS04", "one byte after the block", WRONG, |scene| {
            Box::pin(delivers(scene, |raw| raw.push(0)))
        }),
        act("bodies/count", "threats F03", "4 billion transactions in 400 bytes", WRONG, |scene| {
            Box::pin(delivers(scene, |raw| {
                raw.splice(177..178, [0xfe, 0xff, 0xff, 0xff, 0xff]);
            }))
        }),
        act("bodies/refused", "threats BS08", "bodies that were advertised are refused", Kept, |scene| {
            Box::pin(refuses(scene))
        }),
    ]
}

/// Serves headers until the victim asks for bodies.
pub(super) async fn wanted(server: &mut Server) -> Result<(u32, u32), Trouble> {
    loop {
        match server.next().await? {
            Asked::Bodies { start, count } => return Ok((start, count)),
            asked @ (Asked::Headers(_) | Asked::Nothing) => server.answer(&asked).await?,
        }
    }
}

/// Delivers the first body that is asked for, spoilt.
async fn delivers(scene: Scene, spoil: impl FnOnce(&mut Vec<u8>) + Send) -> Result<Ending, Trouble> {
    let mut server = server(&scene).await?;
    let (start, _) = wanted(&mut server).await?;
    let mut raw = server.book.at(start).map(|block| block.raw.clone()).unwrap_or_default();
    spoil(&mut raw);
    server.bodies(start, 1, vec![raw]).await?;
    server.into_parts().0.closed().await
}

async fn refuses(scene: Scene) -> Result<Ending, Trouble> {
    let mut server = server(&scene).await?;
    let (start, count) = wanted(&mut server).await?;
    server.blocks.say(&range_unavailable(start, count)).await?;
    let (peer, streams) = server.into_parts();
    Ok(peer.stays(Seen::Kept, streams))
}

/// A server of the scene's book, which is longer than the victim's.
pub(super) async fn server(scene: &Scene) -> Result<Server, Trouble> {
    Server::over(scene.raw.clone(), scene.meet().await?, scene.book.clone()).await
}
