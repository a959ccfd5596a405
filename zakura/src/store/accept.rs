//! How a batch of headers is judged, and becomes the selected chain or does not.

use zakura_header_sync::{
    chain::{BlockRef, Height},
    ports::{Accept, HeaderBatch, Proof},
};

use super::{
    StoreError,
    durable::{Change, Store},
    rules::{Candidate, Refusal, Rules},
    tables::{self, FLOOR, Row, Tables},
};
use crate::zcash::{Blame, Past};

/// A verdict, or "store these": the caller turns that into a verdict with the view after it.
enum Judged {
    No(Accept),
    Stored,
}

/// Why a batch is answered before its end.
enum Stop {
    With(Accept),
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Store {
    pub(super) fn accept_batch(&self, batch: HeaderBatch) -> Accept {
        let parent = batch.parent;
        let (candidates, hints) = match read(&self.rules, batch.parent, &batch) {
            Ok(read) => read,
            Err(verdict) => return verdict,
        };
        let judged = self.change(|tables| {
            let mut judge = Judge { rules: &self.rules, tables, parent, proof: batch.proof };
            match judge.judge(&candidates, &hints) {
                Ok(()) => Ok(Change::Commit(Judged::Stored)),
                Err(Stop::With(verdict)) => Ok(Change::Drop(Judged::No(verdict))),
                Err(Stop::Store(error)) => Err(error),
            }
        });
        match judged {
            Ok((Judged::Stored, now)) => Accept::Extended(now.view),
            Ok((Judged::No(verdict), _)) => verdict,
            Err(error) => Accept::Unavailable { reason: self.noted(error).to_string() },
        }
    }
}

/// Reads the headers of a batch, each at its height, and their size hints.
fn read(rules: &Rules, parent: BlockRef, batch: &HeaderBatch) -> Result<(Vec<Candidate>, Vec<u32>), Accept> {
    let mut above = parent;
    let mut candidates = Vec::with_capacity(batch.headers.len());
    for (index, sized) in batch.headers.iter().enumerate() {
        let invalid = |reason: String| Accept::Invalid { index, reason };
        let height =
            above.height.next().ok_or_else(|| invalid("no height is left above its parent".to_owned()))?;
        let candidate =
            rules.candidate(height, sized.raw.clone()).map_err(|error| invalid(error.to_string()))?;
        if candidate.header.prev != above.hash.0 {
            return Err(invalid(format!("its parent is not {}", above.hash)));
        }
        above = candidate.at;
        candidates.push(candidate);
    }
    Ok((candidates, batch.headers.iter().map(|sized| sized.size_hint).collect()))
}

struct Judge<'j, 't> {
    rules: &'j Rules,
    tables: &'j mut Tables<'t>,
    parent: BlockRef,
    proof: Proof,
}

impl Judge<'_, '_> {
    /// Judges the batch and, if it is to be the selected chain, writes it.
    fn judge(&mut self, candidates: &[Candidate], hints: &[u32]) -> Result<(), Stop> {
        let on_chain = tables::header(&self.tables.headers, self.parent.height)?;
        if on_chain.is_none_or(|row| row.at != self.parent) {
            return Err(Stop::With(Accept::Orphan));
        }
        let known = self.known(candidates)?;
        let (old, new) = candidates.split_at(known);
        if new.is_empty() {
            return Err(Stop::With(Accept::Known));
        }
        let fork = old.last().map_or(self.parent, |candidate| candidate.at);
        let tip = tables::tip(&self.tables.headers)?;
        if fork.height < tables::floor(&self.tables.state)? {
            return Err(Stop::With(Accept::BelowFloor));
        }
        match self.proof {
            Proof::Verified => self.place(fork.height, new, known)?,
            Proof::Anchored => self.expect_anchor(new, known)?,
        }

        let mut work = tables::known_header(&self.tables.headers, fork.height)?.work;
        let rows: Vec<Row> = new
            .iter()
            .map(|candidate| {
                work = work.saturating_add(candidate.work);
                Row { at: candidate.at, work, raw: candidate.raw.clone() }
            })
            .collect();
        // No amount of work leads past a checkpoint: a batch that closes on one wins.
        if work <= tip.work && self.proof == Proof::Verified {
            return Err(Stop::With(Accept::NotBetter));
        }
        if fork.height < tip.at.height {
            self.tables.cut_above(fork.height)?;
        }
        for (row, hint) in rows.iter().zip(hints.iter().skip(known)) {
            self.tables.push_header(row, *hint)?;
        }
        raise_floor(self.rules, self.tables)?;
        Ok(())
    }

    /// How many of the first headers are on the selected chain.
    fn known(&self, candidates: &[Candidate]) -> Result<usize, StoreError> {
        for (index, candidate) in candidates.iter().enumerate() {
            let there = tables::header(&self.tables.headers, candidate.at.height)?;
            if there.is_none_or(|row| row.at != candidate.at) {
                return Ok(index);
            }
        }
        Ok(candidates.len())
    }

    /// Applies the contextual rules to each header.
    fn place(&self, fork: Height, new: &[Candidate], known: usize) -> Result<(), Stop> {
        let mut past = tables::past(self.rules.network, &self.tables.headers, fork)?;
        for (offset, candidate) in new.iter().enumerate() {
            if let Err(refusal) = self.rules.place(candidate, &past) {
                return Err(Stop::With(verdict(known.saturating_add(offset), &refusal)));
            }
            past.push(Past { time: candidate.header.time, bits: candidate.header.bits });
        }
        Ok(())
    }

    /// An anchored batch is proved by the checkpoint that it ends on, and by nothing else.
    fn expect_anchor(&self, new: &[Candidate], known: usize) -> Result<(), Stop> {
        let Some(last) = new.last() else { return Ok(()) };
        match self.rules.checkpoints.at(last.at.height) {
            Some(anchor) if anchor == last.at => Ok(()),
            Some(anchor) => {
                let index = known.saturating_add(new.len()).saturating_sub(1);
                Err(Stop::With(verdict(index, &Refusal::Checkpoint(anchor))))
            }
            None => {
                let reason = format!("there is no checkpoint at height {} to close on", last.at.height);
                Err(Stop::With(Accept::Unavailable { reason }))
            }
        }
    }
}

/// Only what is proven is the deliverer's fault; a header that came early, or ancestors that we lack, are ours.
fn verdict(index: usize, refusal: &Refusal) -> Accept {
    let blame = match refusal {
        Refusal::Rule(reject) => reject.blame(),
        Refusal::Checkpoint(_) => Blame::Proven,
    };
    match blame {
        Blame::Proven => Accept::Invalid { index, reason: refusal.to_string() },
        Blame::Undesired | Blame::Local => Accept::Unavailable { reason: refusal.to_string() },
    }
}

/// Raises the finalized floor to what the tip settles; it never falls.
pub(super) fn raise_floor(rules: &Rules, tables: &mut Tables<'_>) -> Result<(), StoreError> {
    let settled = rules.settled(tables::tip(&tables.headers)?.at.height);
    if settled > tables::floor(&tables.state)? {
        tables.state.insert(FLOOR, u64::from(settled))?;
    }
    Ok(())
}
