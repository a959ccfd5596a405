//! A smaller world of the same seed, in words that a command line takes.

use super::plan::{Fault, Plan, SUBJECT};
use crate::sim::NodeIndex;
use std::{collections::BTreeSet, fmt, str::FromStr};

/// What is left of a drawn plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Narrow {
    /// Only these faults, by their places in the drawn plan, and what mends them; all if none is said.
    pub faults: Option<Only>,
    /// Only these peers, the node that syncs, and the last peer, who has everything; all if none is said.
    pub peers: Option<Only>,
    /// Everything that goes wrong does so in a half of the time, so many times over.
    pub hurry: u32,
}

/// Numbers that are kept: `3,7`, or `none`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Only(pub BTreeSet<u16>);

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let numbers: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&numbers.join(","))
    }
}

impl FromStr for Only {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split(',').filter(|part| *part != "none");
        numbers.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Narrow {
    /// Options that a command takes to see this world again; begins with a space unless there are none.
    #[must_use]
    pub fn arguments(&self) -> String {
        let only = |name: &str, only: &Option<Only>| {
            only.as_ref().map_or_else(String::new, |only| format!(" --only-{name} {only}"))
        };
        let hurry = if self.hurry > 0 { format!(" --hurry {}", self.hurry) } else { String::new() };
        format!("{}{}{hurry}", only("faults", &self.faults), only("peers", &self.peers))
    }
}

impl Plan {
    /// The same world without what is not kept.
    #[must_use]
    pub fn narrowed(mut self, narrow: &Narrow) -> Self {
        if let Some(Only(kept)) = &narrow.faults {
            self.faults = self.kept(kept);
        }
        if let Some(Only(kept)) = &narrow.peers {
            let count = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
            let all = (0..count.saturating_sub(1)).map(NodeIndex).filter(|index| *index != SUBJECT);
            self.absent = all.filter(|index| !kept.contains(&index.0)).collect();
            let absent = &self.absent;
            self.dials.retain(|(from, to)| !absent.contains(from) && !absent.contains(to));
            self.faults.retain(|(_, fault)| !fault.concerns(absent));
        }
        for (at, _) in &mut self.faults {
            *at >>= narrow.hurry.min(63);
        }
        self
    }

    /// Faults with these places, and what mends them.
    fn kept(&self, places: &BTreeSet<u16>) -> Vec<(u64, Fault)> {
        let chosen: Vec<_> = (0_u16..).zip(&self.faults).map(|(place, _)| places.contains(&place)).collect();
        let mends = |at: usize, fault: &Fault| {
            let broken = chosen.iter().zip(&self.faults).take(at).filter(|(chosen, _)| **chosen);
            broken.into_iter().any(|(_, (_, other))| fault.undoes(other))
        };
        let numbered = self.faults.iter().enumerate().zip(&chosen);
        let kept = numbered.filter(|((at, (_, fault)), chosen)| **chosen || mends(*at, fault));
        kept.map(|((_, fault), _)| fault.clone()).collect()
    }

    /// The places of faults that mend no other.
    #[must_use]
    pub fn breaking(&self) -> Only {
        let mends =
            |at: usize, fault: &Fault| self.faults.iter().take(at).any(|(_, other)| fault.undoes(other));
        let numbered = (0_u16..).zip(self.faults.iter().enumerate());
        let breaking = numbered.filter(|(_, (at, (_, fault)))| !mends(*at, fault));
        Only(breaking.map(|(place, _)| place).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ladder::Rung, plan::Size},
        *,
    };

    #[test]
    fn a_narrow_world_says_how_it_is_seen_again() {
        let only = |numbers: &[u16]| Some(Only(numbers.iter().copied().collect()));
        let narrow = Narrow { faults: only(&[3, 7]), peers: only(&[]), hurry: 2 };
        assert_eq!(narrow.arguments(), " --only-faults 3,7 --only-peers none --hurry 2");
        assert_eq!("3,7".parse(), Ok(narrow.faults.unwrap()));
        assert_eq!("none".parse(), Ok(Only::default()));
        assert_eq!(Narrow::default().arguments(), "");
    }

    #[test]
    fn what_is_left_out_is_gone_and_the_rest_is_as_it_was() {
        let size = Size { rung: Rung::Toy, peers: 8, heights: 30, newcomers: 1, faults: 8 };
        for seed in 0..20 {
            let whole = Plan::draw(seed, size);
            let first = *whole.breaking().0.first().unwrap();
            let faults = Some(Only(BTreeSet::from([first])));
            let narrow = Narrow { faults, peers: Some("2,5".parse().unwrap()), hurry: 1 };
            let small = Plan::draw(seed, size).narrowed(&narrow);
            let absent: Vec<_> = small.absent.iter().map(|index| index.0).collect();
            assert_eq!(absent, [1, 3, 4, 6, 7], "the last peer stays: it has everything");
            assert!(
                small.dials.iter().all(|(from, to)| [from, to].iter().all(|end| !absent.contains(&end.0)))
            );
            let (at, broken) = &whole.faults[usize::from(first)];
            if broken.concerns(&small.absent) {
                assert!(small.faults.is_empty());
                continue;
            }
            assert_eq!(format!("{:?}", small.faults[0]), format!("{:?}", (at / 2, broken)));
            assert!(small.faults[1..].iter().all(|(_, fault)| fault.undoes(broken)), "and what mends it");
        }
    }

    #[test]
    fn a_shorter_chain_leaves_people_and_trouble_alone() {
        let plan =
            |heights| Plan::draw(3, Size { rung: Rung::Toy, peers: 8, heights, newcomers: 1, faults: 8 });
        let (long, short) = (plan(300), plan(60));
        let people =
            |plan: &Plan| plan.members.iter().map(|member| (member.habit, member.region)).collect::<Vec<_>>();
        assert_eq!(people(&long), people(&short));
        assert_eq!(long.dials, short.dials);
        assert_eq!(format!("{:?}", long.faults), format!("{:?}", short.faults));
    }
}
