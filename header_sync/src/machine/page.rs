//! An answer held against its request (wire 5.2).

use super::words::Received;
use crate::{
    chain::BlockRef,
    ports::{HeaderChain, HeaderFacts, InvalidHeader},
    wire::{Headers, RequestId},
};
use std::{fmt, sync::Arc};
use zakura_transport::Violation;

/// Reads a header without context.
type Describe = dyn Fn(&[u8]) -> Result<HeaderFacts, InvalidHeader> + Send + Sync;

/// The chain's context-free rules, as a machine needs them.
#[derive(Clone)]
pub(crate) struct Rules {
    /// Bytes of every header.
    pub(crate) header_bytes: usize,
    describe: Arc<Describe>,
}

impl Rules {
    /// A chain's rules.
    pub(crate) fn of(chain: &Arc<dyn HeaderChain>) -> Self {
        let chain = Arc::clone(chain);
        Self::new(chain.header_bytes(), move |raw| chain.describe(raw))
    }

    /// Headers of `header_bytes` each, read by `describe`.
    pub(super) fn new(
        header_bytes: usize,
        describe: impl Fn(&[u8]) -> Result<HeaderFacts, InvalidHeader> + Send + Sync + 'static,
    ) -> Self {
        Self { header_bytes, describe: Arc::new(describe) }
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rules({} bytes)", self.header_bytes)
    }
}

/// A request that is out.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) id: RequestId,
    /// The target, at the height its advertiser claims.
    pub(super) target: BlockRef,
    pub(super) locator: Vec<BlockRef>,
    pub(super) max_count: u32,
}

/// An answer that fits.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) ancestor: BlockRef,
    pub(super) headers: Vec<Received>,
    pub(super) complete: bool,
}

impl Page {
    /// The last block it names: its last header, or the ancestor if it has none.
    pub(super) fn last(&self) -> Option<BlockRef> {
        let Some(last) = self.headers.last() else { return Some(self.ancestor) };
        let count = u32::try_from(self.headers.len()).ok()?;
        Some(BlockRef { height: self.ancestor.height.checked_add(count)?, hash: last.hash })
    }
}

/// Checks everything that needs no context: cheap checks first, one hash a header after them.
///
/// A fault is proven here and now: the request and the answer are both at hand.
pub(super) fn check(asked: &Asked, answer: Headers, rules: &Rules) -> Result<Page, Violation> {
    let breach = |rule, evidence: String| Err(Violation::protocol(rule, evidence));
    if answer.target != asked.target.hash {
        return breach(
            "headers.target",
            format!("asked for {}, answered for {}", asked.target, answer.target),
        );
    }
    if answer.aux.is_some() {
        return breach("headers.schema", "auxiliary records came unasked".into());
    }
    let count = u32::try_from(answer.headers.len()).unwrap_or(u32::MAX);
    if count > asked.max_count {
        return breach("headers.count", format!("asked for {} headers, got {count}", asked.max_count));
    }
    if let Some(odd) = answer.headers.first().filter(|first| first.raw.len() != rules.header_bytes) {
        let evidence = format!("headers of {} bytes on a chain of {}", odd.raw.len(), rules.header_bytes);
        return breach("headers.size", evidence);
    }
    if !asked.locator.contains(&answer.ancestor) {
        return breach("headers.ancestor", format!("{} is not in the locator", answer.ancestor));
    }
    let page = link(answer, rules)?;
    let reached = page.last();
    let at_target = reached == Some(asked.target);
    if page.complete && !at_target {
        return breach("headers.complete", format!("{reached:?} is said to be the target {}", asked.target));
    }
    if !at_target && reached.is_none_or(|last| last.height >= asked.target.height) {
        return breach(
            "headers.height",
            format!("reaches {reached:?} without meeting the target {}", asked.target),
        );
    }
    Ok(Page { complete: at_target, ..page })
}

/// Reads each header and sees that it continues the one before.
fn link(answer: Headers, rules: &Rules) -> Result<Page, Violation> {
    let mut headers = Vec::with_capacity(answer.headers.len());
    let mut parent = answer.ancestor.hash;
    for (index, header) in answer.headers.into_iter().enumerate() {
        let facts = (rules.describe)(&header.raw).map_err(|invalid| {
            let evidence = format!("header {index} after {}: {invalid}", answer.ancestor);
            Violation::proven_invalid("headers.describe", evidence)
        })?;
        if facts.parent != parent {
            let evidence = format!(
                "header {index} after {} names parent {}, not {parent}",
                answer.ancestor, facts.parent
            );
            return Err(Violation::proven_invalid("headers.link", evidence));
        }
        parent = facts.hash;
        headers.push(Received { header, hash: facts.hash, work: facts.work });
    }
    Ok(Page { ancestor: answer.ancestor, headers, complete: answer.complete })
}
