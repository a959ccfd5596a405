//! A chain that can be served, whole or with a lie in it.

use super::wire::{BlockStatus, GetHeaders, Hash, HeaderStatus, Page};
use ring::digest::{SHA256, digest};
use zakura::zcash::{Parent, mine_block};

/// Block bytes of a mined block.
const MINED: u32 = 400;

/// Double SHA-256 of these parts, one after the other.
#[must_use]
pub fn sha256d(parts: &[&[u8]]) -> Hash {
    let mut hash = [0; 32];
    let inner = digest(&SHA256, &parts.concat());
    hash.copy_from_slice(digest(&SHA256, inner.as_ref()).as_ref());
    hash
}

/// One block.
#[derive(Debug, Clone)]
pub struct Block {
    /// Its header's hash.
    pub hash: Hash,
    /// The serialized header.
    pub header: Vec<u8>,
    /// The serialized block; empty if only the header is known.
    pub raw: Vec<u8>,
}

impl Block {
    /// Of a header alone.
    #[must_use]
    pub fn header(header: Vec<u8>) -> Self {
        Self { hash: sha256d(&[&header]), header, raw: Vec::new() }
    }

    /// Of a serialized block whose header has this size.
    #[must_use]
    pub fn whole(raw: Vec<u8>, header_bytes: usize) -> Self {
        let header = raw.get(..header_bytes).unwrap_or(&raw).to_vec();
        Self { hash: sha256d(&[&header]), header, raw }
    }

    /// The hash of the block before it.
    #[must_use]
    pub fn parent(&self) -> Option<Hash> {
        self.header.get(4..36)?.try_into().ok()
    }

    /// The header's time, Unix seconds.
    fn time(&self) -> u32 {
        let time = self.header.get(100..104).and_then(|time| time.try_into().ok());
        time.map_or(0, u32::from_le_bytes)
    }
}

/// Consecutive blocks above a known one.
#[derive(Debug, Clone)]
pub struct Book {
    base: (u32, Hash),
    blocks: Vec<Block>,
}

impl Book {
    /// Nothing above this block yet.
    #[must_use]
    pub const fn above(height: u32, hash: Hash) -> Self {
        Self { base: (height, hash), blocks: Vec::new() }
    }

    /// The block that everything stands on: its height and hash.
    #[must_use]
    pub const fn base(&self) -> (u32, Hash) {
        self.base
    }

    /// Puts a block on top, whatever it is.
    pub fn push(&mut self, block: Block) {
        self.blocks.push(block);
    }

    /// The highest block: its height and hash.
    #[must_use]
    pub fn tip(&self) -> (u32, Hash) {
        let above = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        (self.base.0.saturating_add(above), self.blocks.last().map_or(self.base.1, |block| block.hash))
    }

    /// Mines Regtest blocks on top. Nothing is mined on a bare base, whose time is not known.
    pub fn mine(&mut self, count: u32, seed: u64) {
        for _ in 0..count {
            let (height, hash) = self.tip();
            let Some(time) = self.blocks.last().map(Block::time) else { return };
            let raw = mine_block(Parent { hash, height, time }, seed, Some(MINED));
            self.push(Block::whole(raw, 177));
        }
    }

    /// The height of a hash.
    #[must_use]
    pub fn find(&self, hash: &Hash) -> Option<u32> {
        if *hash == self.base.1 {
            return Some(self.base.0);
        }
        let at = self.blocks.iter().rposition(|block| block.hash == *hash)?;
        Some(self.base.0.saturating_add(u32::try_from(at).ok()?).saturating_add(1))
    }

    /// The block at a height.
    #[must_use]
    pub fn at(&self, height: u32) -> Option<&Block> {
        let above = height.checked_sub(self.base.0)?.checked_sub(1)?;
        self.blocks.get(usize::try_from(above).ok()?)
    }

    /// The block at a height, to be spoilt.
    pub fn at_mut(&mut self, height: u32) -> Option<&mut Block> {
        let above = height.checked_sub(self.base.0)?.checked_sub(1)?;
        self.blocks.get_mut(usize::try_from(above).ok()?)
    }

    /// What one says who has all of this.
    #[must_use]
    pub fn header_status(&self) -> HeaderStatus {
        let (height, tip) = self.tip();
        HeaderStatus::serving(self.base.0, self.base.1, height, tip)
    }

    /// What one says who has all of this.
    #[must_use]
    pub fn block_status(&self) -> BlockStatus {
        let (height, tip) = self.tip();
        BlockStatus::serving(height, tip)
    }

    /// The page that answers a request (wire 5.2); none if it names nothing that is here.
    #[must_use]
    pub fn page(&self, request: &GetHeaders) -> Option<Page> {
        let target = self.find(&request.target)?;
        let named = request.locator.iter().find_map(|hash| Some((self.find(hash)?, *hash)));
        let (ancestor_height, ancestor) = named.filter(|(height, _)| *height <= target)?;
        let last = target.min(ancestor_height.saturating_add(request.max_count));
        let heights = ancestor_height.saturating_add(1)..=last;
        let headers: Vec<_> =
            heights.filter_map(|height| self.at(height)).map(|block| block.header.clone()).collect();
        Some(Page {
            id: request.id,
            target: request.target,
            ancestor_height,
            ancestor,
            count: u32::try_from(headers.len()).unwrap_or(u32::MAX),
            complete: u8::from(last == target),
            schema: 0,
            headers,
            hint: 0,
        })
    }

    /// The bodies of a request, as far as they are here.
    #[must_use]
    pub fn bodies(&self, start: u32, count: u32) -> Vec<&[u8]> {
        let heights = (0..count).map_while(|above| self.at(start.checked_add(above)?));
        heights.map(|block| block.raw.as_slice()).take_while(|raw| !raw.is_empty()).collect()
    }
}
