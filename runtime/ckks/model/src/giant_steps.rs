//! Giant steps one after the other, so that few keys do for all.
//!
//! `Σ_g rot_g(s_g)` takes one rotation for each g ≠ 0, but not from s_g to its place at once: rotated by k
//! and added to `s_{g−k}`, it goes on together with that (Horner's rule). If the g are the multiples of k,
//! one key does for all of them, with as many rotations as before (Kim et al., "ARK", MICRO 2022, §4, do
//! so for bootstrapping). Sums whose rotations do not depend on each other form *rounds*.
//!
//! Which rotations there are in all is [`GiantSteps::rotations`]; what they cost is not decided here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The sum of an output that a giant step is to bring to its place, and that giant step.
pub type Sum = (usize, i64);

/// A rotation of an inner sum, and of all that was added to it, to the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumRotation {
    /// Index of the output.
    pub output: usize,
    /// Giant step of the sum to rotate.
    pub from: i64,
    /// Giant step of the sum to add it to, zero for the output itself.
    pub to: i64,
    /// What is left of `from`, modulo the slots.
    pub rotation: i64,
}

/// How the inner sums of a linear transform come to their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiantSteps {
    /// All steps of a round come after those of the rounds before, in any order. They start from sums to
    /// which no later step adds.
    pub rounds: Vec<Vec<SumRotation>>,
}

impl GiantSteps {
    /// Few rotations for the giant steps of all outputs, vectors of a number of slots. Giant steps of the
    /// result are modulo the slots.
    pub fn new(sums: impl IntoIterator<Item = Sum>, slots: i64) -> Self {
        let ascending: BTreeSet<Sum> =
            sums.into_iter().map(|(output, giant)| (output, giant.rem_euclid(slots))).collect();
        // Around the circle in one direction where that takes fewer keys, otherwise in both: negative
        // giant steps then take the same keys whatever else there is.
        let centered = |&(output, giant): &Sum| {
            (output, if 2 * giant > slots { giant - slots } else { giant })
        };
        let both = [ascending.iter().map(centered).collect(), ascending];
        let steps = both.map(|sums| Self::from_representatives(&sums, slots));
        let [centered, ascending] = steps;
        if ascending.rotations().len() < centered.rotations().len() { ascending } else { centered }
    }

    /// The distinct rotations, modulo the slots.
    pub fn rotations(&self) -> BTreeSet<i64> {
        self.rounds.iter().flatten().map(|step| step.rotation).collect()
    }

    /// Every step leads to a smaller absolute value, by one of few differences: always the one that does
    /// for most of the sums that are left.
    fn from_representatives(sums: &BTreeSet<Sum>, slots: i64) -> Self {
        let leads = |&(output, giant): &Sum, difference: i64| {
            let to = giant - difference;
            to.abs() < giant.abs() && (to == 0 || sums.contains(&(output, to)))
        };
        let mut left: Vec<Sum> = sums.iter().copied().filter(|&(_, giant)| giant != 0).collect();
        let mut differences: BTreeMap<Sum, i64> = BTreeMap::new();
        while !left.is_empty() {
            let candidates: BTreeSet<i64> =
                left.iter().flat_map(|sum| [sum.1, sum.1 - next(sums, sum)]).collect();
            let uses = |difference: i64| left.iter().filter(|sum| leads(sum, difference)).count();
            let best = candidates.into_iter().max_by_key(|&d| (uses(d), Reverse(d.abs()), d));
            let best = best.expect("every sum that is left has a candidate");
            let found = left.extract_if(.., |sum| leads(sum, best));
            differences.extend(found.map(|sum| (sum, best)));
        }
        Self::in_rounds(&differences, slots)
    }

    /// Steps by how many follow, most first.
    fn in_rounds(differences: &BTreeMap<Sum, i64>, slots: i64) -> Self {
        let mut nearest_first: Vec<Sum> = differences.keys().copied().collect();
        nearest_first.sort_by_key(|(_, giant)| giant.abs());
        let mut depths: BTreeMap<Sum, usize> = BTreeMap::new();
        let mut rounds: Vec<Vec<SumRotation>> = Vec::new();
        for sum in nearest_first {
            let (output, giant) = sum;
            let to = giant - differences[&sum];
            let depth = depths.get(&(output, to)).map_or(0, |depth| depth + 1);
            depths.insert(sum, depth);
            if rounds.len() == depth {
                rounds.push(Vec::new());
            }
            let [from, to, rotation] =
                [giant, to, differences[&sum]].map(|step| step.rem_euclid(slots));
            rounds[depth].push(SumRotation { output, from, to, rotation });
        }
        rounds.reverse();
        Self { rounds }
    }
}

/// The nearest sum of the same output and sign towards zero, or zero.
fn next(sums: &BTreeSet<Sum>, &(output, giant): &Sum) -> i64 {
    let next = if giant > 0 {
        sums.range((output, 0)..(output, giant)).next_back()
    } else {
        sums.range((output, giant + 1)..(output, 0)).next()
    };
    next.map_or(0, |&(_, giant)| giant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Follows the steps of vectors of sums, each a single one of its own size.
    fn follow(sums: &BTreeSet<Sum>, steps: &GiantSteps, slots: i64) {
        // The total rotation of each sum so far, by where it is.
        let mut places: BTreeMap<Sum, Vec<(i64, i64)>> = BTreeMap::new();
        for &(output, giant) in sums {
            let giant = giant.rem_euclid(slots);
            places.insert((output, giant), vec![(giant, 0)]);
        }
        for round in &steps.rounds {
            let moved = |step: &SumRotation| {
                (*step, places.remove(&(step.output, step.from)).expect("a sum leaves once"))
            };
            let moved: Vec<_> = round.iter().map(moved).collect();
            for (SumRotation { output, to, rotation, .. }, sums) in moved {
                let arrived = sums.into_iter().map(|(giant, total)| (giant, total + rotation));
                places.entry((output, to)).or_default().extend(arrived);
            }
        }
        for ((_, place), sums) in places {
            assert_eq!(place, 0);
            assert!(sums.into_iter().all(|(giant, total)| (total - giant) % slots == 0));
        }
    }

    fn rotations(giant_steps: &[i64], slots: i64) -> Vec<i64> {
        let sums: BTreeSet<Sum> = giant_steps.iter().map(|&giant| (0, giant)).collect();
        let steps = GiantSteps::new(sums.iter().copied(), slots);
        follow(&sums, &steps, slots);
        steps.rotations().into_iter().collect()
    }

    #[test]
    fn progressions_take_one_key_a_direction() {
        assert_eq!(rotations(&[0, 8, 16, 24], 64), [8]);
        assert_eq!(rotations(&[-16, -8, 0, 8, 16], 64), [8, 56]);
        // All around the circle.
        assert_eq!(rotations(&[-32, -24, -16, -8, 0, 8, 16, 24], 64), [8]);
        // The output itself has no sum.
        assert_eq!(rotations(&[8, 16, 24], 64), [8]);
        assert_eq!(rotations(&[0], 64), []);
        assert_eq!(rotations(&[5, 69, -59], 64), [5]);
    }

    #[test]
    fn gaps_are_crossed_where_a_key_reaches() {
        // 40 by way of 8, 24 on its own.
        assert_eq!(rotations(&[8, 40, 32, 16], 128), [8, 16]);
        // Apart, two keys do, one after the other, three.
        let sums = [(0, 10), (1, 10), (1, 37), (2, 37)];
        let steps = GiantSteps::new(sums, 128);
        assert_eq!(steps.rotations(), BTreeSet::from([10, 37]));
        assert_eq!(steps.rounds.len(), 1);
    }

    proptest! {
        #[test]
        fn every_sum_comes_to_its_place(
            sums in prop::collection::btree_set((0usize..3, -70i64..70), 0..40),
            slots in 1i64..70,
        ) {
            let steps = GiantSteps::new(sums.iter().copied(), slots);
            follow(&sums, &steps, slots);
            let reduced: BTreeSet<Sum> =
                sums.iter().map(|&(output, giant)| (output, giant.rem_euclid(slots))).collect();
            let moves = reduced.iter().filter(|(_, giant)| *giant != 0).count();
            prop_assert_eq!(steps.rounds.iter().flatten().count(), moves);
        }
    }
}
