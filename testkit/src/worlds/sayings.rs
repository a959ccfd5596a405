//! What nodes say of themselves, in the words of their statuses: counted when it changes, so that a sweep shows which
//! verdicts were ever heard.

use super::node::Node;
use crate::sim::NodeIndex;
use std::collections::BTreeMap;
use zakura_block_sync::SyncVerdict;
use zakura_header_sync::HeaderSyncStatus;

/// What each node said last.
#[derive(Debug, Default)]
pub(super) struct Sayings(BTreeMap<(NodeIndex, &'static str), String>);

impl Sayings {
    /// What a node says now and did not say before.
    pub(super) fn listen(&mut self, node: &Node) -> Vec<String> {
        let Some((headers, bodies)) = &node.handles else { return Vec::new() };
        let (headers, bodies) = (headers.status(), bodies.status());
        let said = [
            ("bodies", Some(verdict(&bodies.verdict).to_owned())),
            ("bodies alarm", bodies.alarm.as_deref().map(plain)),
            ("headers held up", headers.local_fault.as_deref().map(plain)),
            ("headers", Some(headers_verdict(&headers).to_owned())),
        ];
        let mut new = Vec::new();
        for (who, what) in said {
            match what {
                Some(what) if self.0.get(&(node.index, who)) != Some(&what) => {
                    new.push(format!("says: {who}: {what}"));
                    self.0.insert((node.index, who), what);
                }
                Some(_) => {}
                None => drop(self.0.remove(&(node.index, who))),
            }
        }
        new
    }
}

const fn verdict(verdict: &SyncVerdict) -> &'static str {
    match verdict {
        SyncVerdict::AtTip => "AtTip",
        SyncVerdict::NoPeers => "NoPeers",
        SyncVerdict::NoUsefulPeers => "NoUsefulPeers",
        SyncVerdict::WaitingForBody { peer: None, .. } => "WaitingForBody of nobody",
        SyncVerdict::WaitingForBody { peer: Some(_), .. } => "WaitingForBody of a peer",
        SyncVerdict::Verifying => "Verifying",
        SyncVerdict::WaitingForStore { reason: None } => "WaitingForStore",
        SyncVerdict::WaitingForStore { reason: Some(_) } => "WaitingForStore that failed",
        SyncVerdict::Unsupported { .. } => "Unsupported",
    }
}

/// Header sync has no verdict of its own: what it works on.
const fn headers_verdict(status: &HeaderSyncStatus) -> &'static str {
    match (status.segments_staged, status.segments_open, status.headers_staged, status.targets.len()) {
        (1.., ..) => "segments wait for the store",
        (0, 1.., ..) => "segments are fetched",
        (0, 0, 1.., _) => "headers of a tip are staged",
        (0, 0, 0, 1..) => "a tip is followed",
        (0, 0, 0, 0) => "nothing to do",
    }
}

/// The words of a reason before its first figure: what differs from block to block is not another reason.
fn plain(reason: &str) -> String {
    let end = reason.find(|letter: char| letter.is_ascii_digit()).unwrap_or(reason.len());
    reason.get(..end).unwrap_or(reason).trim_end().to_owned()
}
