//! Answers with headers that do not fit their request, or do not hold (wire 5.2). The victim is told of blocks that are
//! really there; what it is given for them is not.

use crate::hostile::{
    Act, Block, Ending, Needs,
    Outcome::Violation,
    Run, Scene, Trouble,
    wire::{GetHeaders, HEADER_SYNC, Page, outcome},
};

pub(super) fn acts() -> Vec<Act> {
    let act = |name, breaks, what, rule, run: Run| Act {
        name,
        breaks,
        what,
        needs: Needs::Ahead,
        expected: Violation(rule),
        run,
    };
    vec![
        act("pages/target", "wire 5.2", "a page towards another tip", "headers.target", |scene| {
            Box::pin(answers(scene, |page| page.target = [9; 32]))
        }),
        act(
            "pages/ancestor",
            "wire 5.2",
            "a page after a block that was not named",
            "headers.ancestor",
            |scene| Box::pin(answers(scene, |page| page.ancestor = [9; 32])),
        ),
        act(
            "pages/ancestor-height",
            "wire 5.2",
            "a named block at another height",
            "headers.ancestor",
            |scene| Box::pin(answers(scene, |page| page.ancestor_height += 1)),
        ),
        act(
            "pages/schema",
            "wire 5.2",
            "auxiliary records that nobody asked for",
            "headers.schema",
            |scene| Box::pin(answers(scene, |page| page.schema = 1)),
        ),
        act("pages/hint", "wire 5.2", "a body of 2,000,001 bytes is promised", "Headers.hints", |scene| {
            Box::pin(answers(scene, |page| page.hint = 2_000_001))
        }),
        act("pages/header-size", "wire 5.2", "headers of another network's size", "headers.size", |scene| {
            Box::pin(answers(scene, |page| page.headers.iter_mut().for_each(|raw| raw.resize(1_487, 0))))
        }),
        act(
            "pages/too-many",
            "wire 5.2",
            "4,000 headers where 1,000 may be asked for",
            "headers.count",
            |scene| {
                Box::pin(answers(scene, |page| {
                    page.headers = page.headers.iter().cycle().take(4_000).cloned().collect();
                    page.count = 4_000;
                }))
            },
        ),
        act(
            "pages/unlinked",
            "wire 5.2",
            "the second header does not name the first",
            "headers.link",
            |scene| Box::pin(answers(scene, |page| page.headers.swap(0, 1))),
        ),
        act(
            "pages/incomplete",
            "wire 5.2",
            "half the way is said to be all of it",
            "headers.complete",
            |scene| {
                Box::pin(answers(scene, |page| {
                    page.headers.truncate(1);
                    page.count = 1;
                }))
            },
        ),
        act("pages/pow", "wire 5.2", "a header whose proof-of-work is none", "header.rules", |scene| {
            Box::pin(unproven(scene))
        }),
        act("pages/refusal", "wire 5.2", "a refusal that names another tip", "outcome.target", |scene| {
            Box::pin(refuses(scene))
        }),
    ]
}

/// Leads the victim to ask for headers, and gives it a page that differs from the right one.
async fn answers(scene: Scene, spoil: impl FnOnce(&mut Page) + Send) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut headers = peer.stream(HEADER_SYNC).await?;
    headers.say(&scene.book.header_status().bytes()).await?;
    let asked = asked(&headers.hear_a(2).await?)?;
    let mut page = scene.book.page(&asked).ok_or_else(|| Trouble::of("the victim asks for another chain"))?;
    spoil(&mut page);
    headers.say(&page.bytes()).await?;
    peer.closed().await
}

/// Serves a tip of its own making: its solution is that of nobody.
async fn unproven(scene: Scene) -> Result<Ending, Trouble> {
    let mut book = scene.book.clone();
    let (height, _) = book.tip();
    if let Some(block) = book.at_mut(height) {
        let mut header = block.header.clone();
        header.iter_mut().skip(141).for_each(|byte| *byte = 0);
        *block = Block::header(header);
    }
    answers(Scene { book, ..scene }, |_| {}).await
}

async fn refuses(scene: Scene) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut headers = peer.stream(HEADER_SYNC).await?;
    headers.say(&scene.book.header_status().bytes()).await?;
    let asked = asked(&headers.hear_a(2).await?)?;
    headers.say(&outcome(asked.id, [9; 32], 4)).await?;
    peer.closed().await
}

fn asked(payload: &[u8]) -> Result<GetHeaders, Trouble> {
    GetHeaders::read(payload).ok_or_else(|| Trouble::of("a GetHeaders that cannot be read"))
}
