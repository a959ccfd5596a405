//! Header sync by somebody who asks and claims what nobody may (wire 5.2).

use crate::hostile::{
    Act, Ending, Needs,
    Outcome::{self, Kept, Violation},
    Run, Scene, Seen, Trouble,
    wire::{GetHeaders, HEADER_SYNC, HeaderStatus, Page, outcome},
};

/// Tips claimed in a row.
const FLAPS: u8 = 200;

pub(super) fn acts() -> Vec<Act> {
    let act = |name, breaks, what, expected: Outcome, run: Run| Act {
        name,
        breaks,
        what,
        needs: Needs::Nothing,
        expected,
        run,
    };
    vec![
        act(
            "headers/unasked-page",
            "wire 5.2",
            "an answer to no request",
            Violation("answer.unasked"),
            |scene| {
                Box::pin(says(scene, |scene| {
                    let (height, hash) = scene.book.tip();
                    page(height, hash).bytes()
                }))
            },
        ),
        act(
            "headers/unasked-refusal",
            "wire 5.2",
            "a refusal of no request",
            Violation("answer.unasked"),
            |scene| Box::pin(says(scene, |_| outcome(77, [1; 32], 4))),
        ),
        act("headers/outcome-code", "wire 5.2", "outcome 5", Violation("HeadersOutcome.outcome"), |scene| {
            Box::pin(says(scene, |_| outcome(77, [1; 32], 5)))
        }),
        act(
            "headers/ask-above-cap",
            "wire 5.2",
            "more headers than advertised",
            Violation("GetHeaders.max_count"),
            |scene| Box::pin(asks(scene, |request| request.max_count = 1_000_000)),
        ),
        act(
            "headers/ask-nothing",
            "wire 5.2",
            "a request for no header",
            Violation("GetHeaders.max_count"),
            |scene| Box::pin(asks(scene, |request| request.max_count = 0)),
        ),
        act(
            "headers/ask-zero-id",
            "wire 5.2",
            "a request without an id",
            Violation("GetHeaders.id"),
            |scene| Box::pin(asks(scene, |request| request.id = 0)),
        ),
        act(
            "headers/ask-no-locator",
            "wire 5.2",
            "an empty locator",
            Violation("GetHeaders.locator"),
            |scene| Box::pin(asks(scene, |request| (request.entries, request.locator) = (0, Vec::new()))),
        ),
        act(
            "headers/ask-long-locator",
            "wire 5.2",
            "a locator of 14 hashes",
            Violation("message.length"),
            |scene| {
                Box::pin(asks(scene, |request| (request.entries, request.locator) = (14, vec![[1; 32]; 14])))
            },
        ),
        act(
            "headers/ask-locator-count",
            "wire 5.2",
            "13 hashes of which one is there",
            Violation("GetHeaders.locator"),
            |scene| Box::pin(asks(scene, |request| request.entries = 13)),
        ),
        act(
            "headers/ask-schema",
            "wire 5.2",
            "a schema outside the mask",
            Violation("GetHeaders.schema"),
            |scene| Box::pin(asks(scene, |request| request.schema = 1)),
        ),
        act(
            "headers/page-count",
            "wire 5.2",
            "4 billion headers in 83 bytes",
            Violation("Headers.count"),
            |scene| Box::pin(says(scene, |_| Page { count: u32::MAX, ..page(1, [2; 32]) }.bytes())),
        ),
        act(
            "headers/page-bytes",
            "wire 5.2",
            "4,000 headers in 83 bytes",
            Violation("Headers.headers"),
            |scene| Box::pin(says(scene, |_| Page { count: 4_000, complete: 0, ..page(1, [2; 32]) }.bytes())),
        ),
        act("headers/page-flag", "wire 5.2", "a boolean of 2", Violation("Headers.complete"), |scene| {
            Box::pin(says(scene, |_| Page { complete: 2, ..page(1, [2; 32]) }.bytes()))
        }),
        act(
            "headers/status-no-height",
            "wire 5.2",
            "a tip at height 2^32 - 1",
            Violation("Status.tip"),
            |scene| Box::pin(says(scene, |scene| claim(&scene, u32::MAX).bytes())),
        ),
        act(
            "headers/status-highest",
            "threats HS03",
            "a tip at the highest height there is",
            Kept,
            |scene| Box::pin(claims(scene, |scene| vec![claim(scene, 0x7fff_ffff)])),
        ),
        act(
            "headers/status-base-above-tip",
            "threats HS03",
            "a chain that ends below its beginning",
            Kept,
            |scene| {
                Box::pin(claims(scene, |scene| vec![HeaderStatus { anchor_height: 900, ..claim(scene, 5) }]))
            },
        ),
        act("headers/status-flapping", "threats HS03", "200 invented tips at once", Kept, |scene| {
            Box::pin(claims(scene, |scene| {
                let tips =
                    (0..FLAPS).map(|n| HeaderStatus { tip: [n; 32], ..claim(scene, 100 + u32::from(n)) });
                tips.collect()
            }))
        }),
    ]
}

/// An empty page that is complete: its ancestor is its target.
fn page(ancestor_height: u32, ancestor: [u8; 32]) -> Page {
    Page {
        id: 77,
        target: ancestor,
        ancestor_height,
        ancestor,
        count: 0,
        complete: 1,
        schema: 0,
        headers: Vec::new(),
        hint: 0,
    }
}

/// A Status with an invented tip at a height.
fn claim(scene: &Scene, height: u32) -> HeaderStatus {
    HeaderStatus::serving(0, scene.victim.genesis, height, [0xee; 32])
}

/// Says one message that costs the connection.
async fn says(scene: Scene, message: impl FnOnce(Scene) -> Vec<u8> + Send) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut headers = peer.stream(HEADER_SYNC).await?;
    headers.say(&HeaderStatus::client(scene.victim.genesis).bytes()).await?;
    headers.hear_a(1).await?;
    headers.say(&message(scene)).await?;
    peer.closed().await
}

/// Asks in order but for one thing, which costs the connection.
async fn asks(scene: Scene, spoil: impl FnOnce(&mut GetHeaders) + Send) -> Result<Ending, Trouble> {
    says(scene, |scene| {
        let mut request = GetHeaders::new(1, scene.book.tip().1, vec![scene.book.base().1], 1);
        spoil(&mut request);
        request.bytes()
    })
    .await
}

/// Claims things that nobody can hold, does not answer for them, and is still served.
async fn claims(
    scene: Scene,
    statuses: impl FnOnce(&Scene) -> Vec<HeaderStatus> + Send,
) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut headers = peer.stream(HEADER_SYNC).await?;
    for status in statuses(&scene) {
        headers.say(&status.bytes()).await?;
    }
    let request = GetHeaders::new(1, scene.book.tip().1, vec![scene.book.base().1], 1);
    headers.say(&request.bytes()).await?;
    headers.hear_a(3).await?;
    Ok(peer.stays(Seen::Kept, [headers]))
}
