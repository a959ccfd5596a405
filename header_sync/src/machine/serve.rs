//! Answering one peer: one page at a time.

use crate::{
    chain::BlockHash,
    ports::{Found, HeaderQuery},
    wire::{GetHeaders, Headers, Message, Outcome, Refusal, RequestId},
};
use std::collections::VecDeque;
use zakura_transport::Violation;

/// Answers that wait for a peer that does not read. One page is prepared at a time, the rest are 42-byte outcomes, so
/// this bounds what a peer that asks without reading makes us hold.
pub(super) const MAX_REPLIES: usize = 64;

/// The serving half of a session.
#[derive(Debug)]
pub(super) struct Serve {
    /// What we advertise; asking for more is the peer's breach.
    page_headers: u32,
    preparing: Option<(RequestId, BlockHash, u32)>,
    replies: VecDeque<Message>,
}

impl Serve {
    pub(super) const fn new(page_headers: u32) -> Self {
        Self { page_headers, preparing: None, replies: VecDeque::new() }
    }

    /// A request: the query for the chain, or none if another is being prepared (then the answer is Busy).
    pub(super) fn request(&mut self, request: GetHeaders) -> Result<Option<HeaderQuery>, Violation> {
        let GetHeaders { id, target, locator, max_count, schema } = request;
        if max_count > self.page_headers {
            let evidence = format!("asked for {max_count} headers, we advertise {}", self.page_headers);
            return Err(Violation::malformed("GetHeaders.max_count", evidence));
        }
        if schema != 0 {
            return Err(Violation::malformed(
                "GetHeaders.schema",
                format!("asked for schema {schema}, we have none"),
            ));
        }
        if self.preparing.is_some() {
            self.refuse(id, target, Refusal::Busy);
            return Ok(None);
        }
        self.preparing = Some((id, target, max_count));
        Ok(Some(HeaderQuery { locator, target, max_count }))
    }

    /// What the chain found for the request being prepared.
    pub(super) fn found(&mut self, found: Found) {
        let Some((id, target, max_count)) = self.preparing.take() else { return };
        match found {
            Found::Headers { ancestor, headers, complete } => {
                let page = Headers { id, target, ancestor, complete, headers, aux: None };
                if is_sound(&page, max_count) {
                    self.replies.push_back(Message::Headers(page));
                } else {
                    tracing::error!(
                        ?target,
                        ?ancestor,
                        "the chain's answer to a query breaks the query's contract"
                    );
                    self.refuse(id, target, Refusal::Busy);
                }
            }
            Found::TargetNotRetained => self.refuse(id, target, Refusal::TargetNotRetained),
            Found::NoIntersection => self.refuse(id, target, Refusal::NoIntersection),
            Found::Unavailable => self.refuse(id, target, Refusal::Busy),
        }
    }

    fn refuse(&mut self, id: RequestId, target: BlockHash, refusal: Refusal) {
        self.replies.push_back(Message::Outcome(Outcome { id, target, refusal }));
    }

    /// The next answer.
    pub(super) fn poll(&mut self) -> Option<Message> {
        self.replies.pop_front()
    }

    /// Whether the peer asks on and on without reading the answers.
    pub(super) fn is_flooded(&self) -> bool {
        self.replies.len() > MAX_REPLIES
    }
}

/// Whether a peer would find the page legal: our store's mistake must not cost us the connection.
fn is_sound(page: &Headers, max_count: u32) -> bool {
    let at_target = page.ancestor.hash == page.target;
    let count = u32::try_from(page.headers.len()).unwrap_or(u32::MAX);
    count <= max_count && (count == 0) == (page.complete && at_target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{BlockRef, Height};

    fn request(id: u64, max_count: u32, schema: u8) -> GetHeaders {
        let id = RequestId::new(id).unwrap();
        GetHeaders { id, target: BlockHash([2; 32]), locator: vec![BlockHash([1; 32])], max_count, schema }
    }

    fn refusal(message: Option<Message>) -> Option<(u64, Refusal)> {
        match message {
            Some(Message::Outcome(outcome)) => Some((outcome.id.get(), outcome.refusal)),
            Some(_) | None => None,
        }
    }

    #[test]
    fn a_second_request_is_busy_before_the_first_ones_page() {
        let mut serve = Serve::new(10);
        assert!(serve.request(request(1, 10, 0)).unwrap().is_some());
        assert_eq!(serve.request(request(2, 10, 0)), Ok(None));
        serve.found(Found::NoIntersection);
        assert_eq!(refusal(serve.poll()), Some((2, Refusal::Busy)));
        assert_eq!(refusal(serve.poll()), Some((1, Refusal::NoIntersection)));
        assert!(serve.request(request(3, 10, 0)).unwrap().is_some(), "free again");
    }

    #[test]
    fn asking_beyond_what_we_advertise_is_malformed() {
        let mut serve = Serve::new(10);
        assert_eq!(serve.request(request(1, 11, 0)).unwrap_err().rule(), "GetHeaders.max_count");
        assert_eq!(serve.request(request(1, 10, 1)).unwrap_err().rule(), "GetHeaders.schema");
    }

    #[test]
    fn a_contradictory_answer_of_our_store_is_not_sent() {
        let mut serve = Serve::new(10);
        serve.request(request(1, 10, 0)).unwrap();
        let ancestor = BlockRef { height: Height::GENESIS, hash: BlockHash([1; 32]) };
        serve.found(Found::Headers { ancestor, headers: vec![], complete: true });
        assert_eq!(refusal(serve.poll()), Some((1, Refusal::Busy)));
    }

    #[test]
    fn a_peer_that_asks_without_reading_is_noticed() {
        let mut serve = Serve::new(10);
        for id in 0..=MAX_REPLIES as u64 {
            assert!(!serve.is_flooded());
            serve.request(request(id + 1, 10, 0)).unwrap();
        }
        serve.request(request(1_000, 10, 0)).unwrap();
        assert!(serve.is_flooded());
    }
}
