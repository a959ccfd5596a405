//! A stream that the peer opened, up to the point where it is known what it is (wire 4.2).

use super::{
    answer::answer,
    shared::{Arrived, Misfit, Report, Shared},
};
use crate::{
    Exit, Mode, Violation,
    plant::planted,
    quic::{Broken, Farewell, RecvHalf, ResetCode, SendHalf},
    wire::{MIN_OPENER_CAP, PRELUDE_HEAD_BYTES, PreludeHead},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

/// What each part of a prelude may take (wire 4.2): stops streams that are opened and never say what they are.
const PRELUDE_PART: Duration = Duration::from_secs(3);

/// Reads the prelude; an ordered stream is reported, a request answered, anything else refused.
pub(super) async fn receive(
    shared: Arc<Shared>,
    halves: (SendHalf, RecvHalf),
    permit: OwnedSemaphorePermit,
    answers: Arc<Semaphore>,
    reports: mpsc::Sender<Report>,
) {
    planted("arrival");
    let (send, mut recv) = halves;
    let Some(head) = part::<PRELUDE_HEAD_BYTES>(&mut recv).await else {
        return shared.refuse(send, recv, ResetCode::BadPrelude);
    };
    let Ok(head) = PreludeHead::decode(&head) else {
        return shared.refuse(send, recv, ResetCode::BadPrelude);
    };
    let kind = match shared.judge(head) {
        Ok(kind) => kind,
        Err(Misfit::Reset(code)) => return shared.refuse(send, recv, code),
        Err(Misfit::Fatal(stream, violation)) => {
            shared.refuse(send, recv, ResetCode::BadPrelude);
            return fatal(&reports, stream, violation).await;
        }
    };
    let spec = &kind.entry.spec;
    let request_id = match head.mode {
        Mode::Ordered => None,
        Mode::Request => match part(&mut recv).await {
            Some(id) => Some(u64::from_le_bytes(id)),
            None => return shared.refuse(send, recv, ResetCode::BadPrelude),
        },
    };
    let Some(max_frame) = part(&mut recv).await.map(u32::from_le_bytes) else {
        return shared.refuse(send, recv, ResetCode::BadPrelude);
    };
    if max_frame < MIN_OPENER_CAP {
        shared.refuse(send, recv, ResetCode::BadPrelude);
        let seen = format!("the opener of {} takes {max_frame} frame bytes", spec.name);
        return fatal(&reports, spec.name, Violation::protocol("prelude.cap", seen)).await;
    }
    match request_id {
        None => {
            let arrived = Arrived { kind: head.kind, max_frame, halves: (send, recv), permit };
            // A connection that no longer listens is ending, and its streams with it.
            drop(reports.send(Report::Arrived(arrived)).await);
        }
        Some(id) => {
            let Ok(turn) = answers.try_acquire() else {
                return shared.refuse(send, recv, ResetCode::Resource);
            };
            let name = spec.name;
            if let Some(exit) = answer(&shared, kind, id, max_frame, (send, recv)).await {
                drop(reports.send(Report::Fatal { stream: name, exit, farewell: Farewell::NEUTRAL }).await);
            }
            drop((turn, permit));
        }
    }
}

async fn part<const N: usize>(recv: &mut RecvHalf) -> Option<[u8; N]> {
    match timeout(PRELUDE_PART, recv.read_array()).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(Broken::Unknown | Broken::Off)) | Err(_) => None,
    }
}

async fn fatal(reports: &mpsc::Sender<Report>, stream: &'static str, violation: Violation) {
    let exit = Exit::Violation(violation);
    drop(reports.send(Report::Fatal { stream, exit, farewell: Farewell::NEUTRAL }).await);
}
