//! Chains of giant steps: the giant-step rotations of a linear transform, ordered so that few
//! rotation keys serve all of them.
//!
//! `Σ_g rot_g(s_g)` over inner sums s_g takes one rotation for each giant step g ≠ 0. The sum s_g
//! need not go to its place at once: rotated by k and added to `s_{g−k}`, it is rotated further
//! together with that sum (Horner's rule). If all g are multiples of k, one key serves all of them,
//! with as many rotations as before (Kim et al., "ARK", MICRO 2022, §4, for bootstrapping).
//! Rotations that do not depend on each other form a *round*.
//!
//! The rotations used are those of [`GiantSteps::rotations`]; their cost is not computed here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// An inner sum: the index of its output and its giant step.
pub type Sum = (usize, i64);

/// Rotation of an inner sum, together with everything added to it, to the place of another inner
/// sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumRotation {
    /// Index of the output.
    pub output: usize,
    /// Giant step of the sum that is rotated, modulo the slots.
    pub from: i64,
    /// Giant step of the sum to which the result is added, modulo the slots; zero for the output
    /// itself.
    pub to: i64,
    /// Rotation to the left: `from − to`, modulo the slots.
    pub rotation: i64,
}

/// Schedule of the giant-step rotations of a linear transform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiantSteps {
    /// Rounds in order of execution. The rotations of one round are independent; each starts from a
    /// sum to which no later rotation adds.
    pub rounds: Vec<Vec<SumRotation>>,
}

impl GiantSteps {
    /// Schedules the giant steps of all outputs with few distinct rotations. `sums` are pairs
    /// (output, giant step) for vectors of `slots` slots; giant steps of the result are modulo the
    /// slots.
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

    /// The distinct rotations, modulo the slots: one rotation key for each.
    pub fn rotations(&self) -> BTreeSet<i64> {
        self.rounds.iter().flatten().map(|step| step.rotation).collect()
    }

    /// Greedy schedule: every rotation leads to a giant step of smaller absolute value, by one of
    /// few differences, each time the difference that serves most of the remaining sums.
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
            let best = best.expect("each remaining sum is a candidate itself");
            let found = left.extract_if(.., |sum| leads(sum, best));
            differences.extend(found.map(|sum| (sum, best)));
        }
        Self::in_rounds(&differences, slots)
    }

    /// Groups rotations into rounds by the number of rotations that follow them, most first.
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
