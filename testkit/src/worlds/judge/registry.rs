//! Every invariant by its id, and those that cannot be looked at in pure worlds.

use super::{
    blame, chain, fencing, lifecycle, liveness, memory,
    sight::{Ending, Finale, Finding, Sight},
    work,
};
use std::fmt;

/// When an invariant has to hold (threats, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// After every step.
    Step,
    /// When nothing happens for a while.
    Quiet,
    /// At the end.
    End,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Step => "step",
            Self::Quiet => "quiet",
            Self::End => "end",
        })
    }
}

/// When the judge looks, and with which function.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// At a node after each of its turns.
    Turn(fn(&mut Sight<'_>) -> Finding),
    /// At a node after each so many of its turns: it costs as much as the node holds.
    Books(fn(&mut Sight<'_>) -> Finding),
    /// At each node each so many virtual seconds.
    Survey(fn(&mut Sight<'_>) -> Finding),
    /// At each node when the world is quiet.
    Quiet(fn(&mut Sight<'_>) -> Finding),
    /// At a session that has come to an end of its own.
    Exit(fn(&Ending<'_>) -> Finding),
    /// At the end of the world.
    End(fn(&Finale<'_>) -> Finding),
    /// After the end of the world, when every session was ended and every job came back.
    Drained(fn(&Finale<'_>) -> Finding),
    /// The world looks by itself and tells the judge.
    Told,
}

/// One invariant.
#[derive(Clone, Copy)]
pub struct Invariant {
    /// Its id, as in `THREATS`.
    pub id: &'static str,
    /// When it has to hold.
    pub class: Class,
    /// What it says.
    pub says: &'static str,
    pub(super) look: Look,
}

impl fmt::Debug for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.id, self.class, self.says)
    }
}

const fn new(id: &'static str, class: Class, says: &'static str, look: Look) -> Invariant {
    Invariant { id, class, says, look }
}

use Class::{End, Quiet, Step};

/// What is looked at in pure worlds.
pub static INVARIANTS: &[Invariant] = &[
    new("I-W1", Step, "every height is in exactly one place", Look::Books(work::one_place)),
    new("I-W2", Step, "a key has one owner, and it lives", Look::Books(work::one_owner)),
    new("I-W3", Step, "every request runs out of time", Look::Books(work::deadlines)),
    new("I-W4", Step, "no work is stranded", Look::Turn(work::nothing_stranded)),
    new("I-W5", Quiet, "what all refuse is asked for again, and told", Look::Quiet(work::refused_is_retried)),
    new("I-R1", Step, "what is reserved is the sum of reservations", Look::Books(memory::conserved)),
    new("I-R2", Step, "what is asked for keeps its limit", Look::Turn(memory::within_limits)),
    new("I-R3", Step, "everything keeps its cap", Look::Turn(memory::keeps_caps)),
    new("I-R4", Step, "work under way is known", Look::Books(memory::jobs_are_known)),
    new("I-L5", End, "nothing is left when all have gone (and I-R4)", Look::Drained(memory::drained)),
    new("I-G1", Step, "what is stale changes nothing", Look::Turn(fencing::stale_changes_nothing)),
    new("I-G2", Step, "only owners release", Look::Books(fencing::only_owners_release)),
    new("I-G3", Step, "fences grow", Look::Turn(fencing::fences_grow)),
    new("I-C1", Step, "commits extend and link", Look::Turn(chain::commits_extend)),
    new("I-C2", Step, "what is told is durable", Look::Turn(chain::told_is_durable)),
    new("I-C3", Step, "advertisements move nothing", Look::Turn(chain::advertisements_move_nothing)),
    new("I-C4", End, "all end on the chain that fork choice picks", Look::End(chain::fork_choice_agrees)),
    new("I-L1", Step, "reactors know the sessions there are", Look::Turn(lifecycle::sessions_are_known)),
    new("I-L2", Step, "what is counted by peer is right", Look::Books(lifecycle::counts_are_right)),
    new("I-B1", Step, "no honest peer is blamed", Look::Exit(blame::honest_is_not_blamed)),
    new("I-B2", Step, "every penalty carries evidence", Look::Exit(blame::blame_has_evidence)),
    new("I-B3", Step, "a fault of our own convicts nobody", Look::Turn(blame::own_faults_blame_nobody)),
    new(
        "I-B3",
        End,
        "whatever failed, nobody innocent stands convicted",
        Look::End(blame::faults_blame_nobody),
    ),
    new("I-B4", Step, "who broke a rule was closed", Look::Told),
    new("I-V1", End, "whoever can arrive does", Look::End(liveness::all_arrive)),
    new("I-V2", Step, "the floor is rescued", Look::Turn(liveness::floor_is_rescued)),
    new("I-V3", Step, "commits go on beside a peer that has more", Look::Survey(liveness::commits_go_on)),
    new("P01", Step, "no routine panics", Look::Exit(blame::nothing_panics)),
    new("K01", Step, "time goes on", Look::Told),
];

/// An invariant that is looked at elsewhere, or nowhere yet.
#[derive(Debug, Clone, Copy)]
pub struct Elsewhere {
    /// Its id.
    pub id: &'static str,
    /// Why.
    pub why: &'static str,
}

const fn elsewhere(id: &'static str, why: &'static str) -> Elsewhere {
    Elsewhere { id, why }
}

/// The others of `THREATS` 2.
pub static ELSEWHERE: &[Elsewhere] = &[
    elsewhere(
        "I-R5",
        "bytes allocated while a frame is decoded need a counting allocator; decoders are held by it in tests of their own",
    ),
    elsewhere(
        "I-R6",
        "the serving budget and the unvalidated address belong to the transport: real stack only",
    ),
    elsewhere("I-L3", "one connection an identity is admission's: real stack only; a world never opens two"),
    elsewhere("I-L4", "frames before admission and after removal are the connection's: real stack only"),
    elsewhere(
        "I-B5",
        "failed dials and claimed addresses change standing in the pool alone: real stack only",
    ),
    elsewhere("I-V4", "how many peers a node dials is discovery's: no discovery in pure worlds yet"),
    elsewhere("I-V5", "handshakes by pair are admission's: real stack only"),
    elsewhere("I-D1", "no diversity in pure worlds yet"),
    elsewhere("I-D2", "no gossiped addresses in pure worlds yet"),
    elsewhere("I-D3", "a property test of discovery's book"),
    elsewhere("I-X1", "a test runs every seed twice and compares the hashes"),
    elsewhere("I-X2", "a test fails if a fault, a habit or an invariant never had its turn in a sweep"),
    elsewhere("I-X3", "planted bugs are a suite of their own"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_invariant_of_the_threats_is_somewhere() {
        let families =
            [("W", 5), ("R", 6), ("G", 3), ("C", 4), ("L", 5), ("B", 5), ("V", 5), ("D", 3), ("X", 3)];
        let all =
            families.iter().flat_map(|(family, count)| (1..=*count).map(move |n| format!("I-{family}{n}")));
        let here: BTreeSet<_> = INVARIANTS.iter().map(|invariant| invariant.id).collect();
        let there: BTreeSet<_> = ELSEWHERE.iter().map(|elsewhere| elsewhere.id).collect();
        for id in all {
            assert!(here.contains(&*id) != there.contains(&*id), "{id} is in both lists or in none");
        }
    }

    #[test]
    fn an_id_and_its_class_name_one_invariant() {
        let names: BTreeSet<_> = INVARIANTS.iter().map(|one| (one.id, one.class)).collect();
        assert_eq!(names.len(), INVARIANTS.len());
    }
}
