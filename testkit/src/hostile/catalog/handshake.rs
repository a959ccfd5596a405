//! Before anybody is anybody: Hello and Ack (wire 2).

use crate::hostile::{
    Act, Ending, Needs,
    Outcome::{AckRefused, Kept, Refused, TooSmall},
    Scene, Seen, Trouble,
    peer::{closed, measured, open},
    wire::{Ack, HEADER_SYNC, Hello, Limits},
};

pub(super) fn acts() -> Vec<Act> {
    let hello = |name, breaks, what, why, run| Act {
        name,
        breaks,
        what,
        needs: Needs::Nothing,
        expected: Refused(why),
        run,
    };
    let ack =
        |name, breaks, what, expected, run| Act { name, breaks, what, needs: Needs::Dial, expected, run };
    vec![
        hello(
            "handshake/truncated",
            "wire 2.2",
            "a Hello of 100 of its 244 bytes",
            "ended before",
            |scene| {
                Box::pin(control(scene, |hello| measured(&hello.bytes()).into_iter().take(104).collect()))
            },
        ),
        hello("handshake/empty", "wire 2.1", "a Hello of length zero", "length 0", |scene| {
            Box::pin(control(scene, |_| vec![0; 4]))
        }),
        hello("handshake/huge", "wire 2.1", "a Hello that declares 4 GiB", "length 4294967295", |scene| {
            Box::pin(control(scene, |_| vec![0xff; 4]))
        }),
        hello("handshake/trailing-byte", "wire 2.2", "a Hello and one byte", "follow", |scene| {
            Box::pin(control(scene, |hello| measured(&[&hello.bytes()[..], &[0]].concat())))
        }),
        hello("handshake/magic", "wire 2.2", "another magic", "wrong magic", |scene| {
            Box::pin(altered(scene, |hello| hello.magic = *b"ZAKACK\0\0"))
        }),
        hello("handshake/path", "wire 2.2", "the upgraded path", "path 0", |scene| {
            Box::pin(altered(scene, |hello| hello.path = 0))
        }),
        hello("handshake/role", "wire 2.2", "a responder's role", "role 2", |scene| {
            Box::pin(altered(scene, |hello| hello.role = 2))
        }),
        hello("handshake/network", "wire 2.2", "another network", "wrong network", |scene| {
            Box::pin(altered(scene, |hello| hello.network ^= 1))
        }),
        hello("handshake/chain", "wire 2.2", "another genesis", "wrong chain", |scene| {
            Box::pin(altered(scene, |hello| hello.chain = [0; 32]))
        }),
        hello("handshake/identity", "wire 2.2", "somebody else's node id", "another identity", |scene| {
            Box::pin(altered(scene, |hello| hello.node = vec![7; 32]))
        }),
        hello("handshake/short-id", "wire 2.2", "a node id of 31 bytes", "another identity", |scene| {
            Box::pin(altered(scene, |hello| hello.node.truncate(31)))
        }),
        hello("handshake/long-id", "wire 2.2", "a node id of 200 bytes", "hello.node_id", |scene| {
            Box::pin(altered(scene, |hello| hello.node = vec![7; 200]))
        }),
        hello("handshake/channels", "wire 2.2", "a channel is required", "required channels", |scene| {
            Box::pin(altered(scene, |hello| hello.required_channels = 1))
        }),
        hello("handshake/zero-limit", "wire 2.3", "frames of no bytes", "max frame bytes", |scene| {
            Box::pin(altered(scene, |hello| hello.limits.max_frame = 0))
        }),
        hello("handshake/high-limit", "wire 2.3", "frames of 4 GiB", "max frame bytes", |scene| {
            Box::pin(altered(scene, |hello| hello.limits.max_frame = u32::MAX))
        }),
        hello("handshake/upgrade-nonce", "wire 2.2", "an upgrade nonce", "upgrade nonces", |scene| {
            Box::pin(altered(scene, |hello| hello.upgrade_nonce = [1; 32]))
        }),
        hello("handshake/transcript", "wire 2.2", "an upgrade transcript", "upgrade transcript", |scene| {
            Box::pin(altered(scene, |hello| hello.transcript = [1; 32]))
        }),
        Act {
            name: "handshake/one-stream",
            breaks: "wire 2.3",
            what: "one open stream for two ordered kinds",
            needs: Needs::Nothing,
            expected: TooSmall,
            run: |scene| {
                Box::pin(altered(scene, |hello| {
                    hello.limits = Limits { max_open_streams: 1, ..Limits::USUAL };
                }))
            },
        },
        Act {
            name: "handshake/all-capabilities",
            breaks: "wire 2.4",
            what: "every capability bit that there is",
            needs: Needs::Nothing,
            expected: Kept,
            run: |scene| Box::pin(all_capabilities(scene)),
        },
        ack(
            "handshake/ack-nonce",
            "wire 2.6",
            "an Ack to another Hello",
            AckRefused("echo our nonce"),
            |scene| Box::pin(answered(scene, |ack| measured(&Ack { echo: [9; 32], ..ack }.bytes()))),
        ),
        ack("handshake/ack-truncated", "wire 2.6", "half an Ack", AckRefused("ended before"), |scene| {
            Box::pin(answered(scene, |ack| measured(&ack.bytes()).into_iter().take(50).collect()))
        }),
        ack(
            "handshake/ack-greedy",
            "wire 2.3",
            "limits above what was asked",
            AckRefused("above what"),
            |scene| {
                Box::pin(answered(scene, |ack| {
                    let limits = Limits { idle_ms: ack.limits.idle_ms.saturating_add(1), ..ack.limits };
                    measured(&Ack { limits, ..ack }.bytes())
                }))
            },
        ),
    ]
}

/// Says this in a Hello's place.
async fn control(scene: Scene, bytes: impl FnOnce(Hello) -> Vec<u8> + Send) -> Result<Ending, Trouble> {
    let connection = scene.raw.tls(scene.victim.name.addr).await?;
    let mut control = open(&connection).await?;
    control.raw(&bytes(scene.hello())).await?;
    control.finish();
    Ok(Ending::of(closed(&connection).await?))
}

/// Says a Hello that differs from an honest one.
async fn altered(scene: Scene, alter: impl FnOnce(&mut Hello) + Send) -> Result<Ending, Trouble> {
    control(scene, |mut hello| {
        alter(&mut hello);
        measured(&hello.bytes())
    })
    .await
}

async fn all_capabilities(scene: Scene) -> Result<Ending, Trouble> {
    let mut hello = scene.hello();
    hello.capabilities = u64::MAX;
    let mut peer = scene.raw.dial(scene.victim, &hello).await?;
    // Bits of retired services (wire 2.4) are ours alone, so they may not come back.
    if peer.capabilities & 0x12 != 0 {
        return Err(Trouble(format!("retired capabilities were accepted: {:#x}", peer.capabilities)));
    }
    let mut headers = peer.stream(HEADER_SYNC).await?;
    headers.hear_a(1).await?;
    Ok(peer.stays(Seen::Kept, [headers]))
}

/// Is dialled, and says this in an Ack's place.
async fn answered(scene: Scene, answer: impl FnOnce(Ack) -> Vec<u8> + Send) -> Result<Ending, Trouble> {
    let (connection, mut control, ack) = scene.raw.dialled().await?;
    control.raw(&answer(ack)).await?;
    control.finish();
    Ok(Ending::of(closed(&connection).await?))
}
