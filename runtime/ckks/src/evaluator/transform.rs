//! Linear transforms on slots: sums of plaintext diagonals times rotations, in one level.
//!
//! `out[o] = Σ_giant rot_giant( Σ_baby diagonal ⊙ rot_baby(in[i]) )`: a matrix by its generalised
//! diagonals, with rotations split into baby steps and giant steps (Halevi and Shoup, "Faster
//! Homomorphic Linear Transformations in HElib", 2018). All baby-step rotations of an input share
//! one decomposition into digits; all giant steps of an output share one division, by P and the
//! prime of its level. Giant-step rotations are chained, so that few keys serve all of them
//! ([`crate::model::giant_steps`]).
//!
//! Double hoisting (Bossuat et al., Eurocrypt 2021, §4) takes the inner sums modulo QP and divides
//! one polynomial by P before each giant step. Single hoisting divides each baby-step rotation and
//! takes the inner sums modulo Q, so that diagonals have fewer limbs. The caller chooses the
//! splitting of a matrix and the form of hoisting.
//!
//! The real part of an output takes a conjugation, which costs another giant step. With inputs x +
//! i·rot_s(x) (real–imaginary packing) a complex diagonal a − i·b does the work of two real ones: a
//! for x and b for x rotated by s.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::{Evaluator, check_scales, check_slots};
use crate::context::{ContextId, check_scale};
use crate::keys::{Decomposition, SwitchingKey};
use crate::model::giant_steps::GiantSteps;
use crate::model::op_counts::OpCounter;
use crate::ring::{Basis, Operand, PackedPoly, Poly, Residues, Rotation};
use crate::{Ciphertext, CompactPlaintext, Complex64, Context, Error, Hoisting};

/// Number of diagonals that are encoded in parallel, with their values in memory together.
const ENCODED_TOGETHER: usize = 64;

/// Shape of a linear transform: numbers of ciphertexts, slots, level and scales.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransformShape {
    /// Number of input ciphertexts.
    pub inputs: usize,
    /// Number of output ciphertexts.
    pub outputs: usize,
    /// Slots of each ciphertext.
    pub slots: usize,
    /// Level of the inputs; the outputs are one level below.
    pub level: usize,
    /// Scale of the inputs.
    pub input_scale: f64,
    /// Exact scale of the outputs.
    pub output_scale: f64,
    /// Form of hoisting, which determines whether diagonals are also encoded modulo the special
    /// primes; [`hoisting`](crate::model::unit_costs::hoisting) chooses the faster one.
    pub hoisting: Hoisting,
    /// Part of the complex sums that the outputs hold.
    pub part: ComplexPart,
}

/// Part of a complex result that a linear transform returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComplexPart {
    /// The complex numbers themselves.
    Whole,
    /// The real parts, by a conjugation of each output.
    Real,
}

/// Position of one diagonal in the sum `Σ_giant rot_giant( Σ_baby diagonal ⊙ rot_baby(input) )` of
/// an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Index of the output ciphertext.
    pub output: usize,
    /// Index of the input ciphertext.
    pub input: usize,
    /// Giant step: rotation, in slots to the left, after the multiplication.
    pub giant: i64,
    /// Baby step: rotation, in slots to the left, before the multiplication.
    pub baby: i64,
}

/// A linear transform whose diagonals are encoded.
#[derive(Debug)]
pub struct LinearTransform {
    shape: TransformShape,
    /// The distinct rotated inputs, as pairs (index of the input, baby step), sorted.
    baby_steps: Vec<(usize, i64)>,
    /// The inner sums, by output and giant step.
    groups: BTreeMap<(usize, i64), Group>,
    giant_steps: GiantSteps,
    context: ContextId,
}

/// The terms of one inner sum, that is of one output and one giant step, as pairs of an index into
/// `baby_steps` and a diagonal.
type Group = Vec<(usize, Diagonal)>;

/// An encoded diagonal, with one residue for each run of equal residues.
#[derive(Debug)]
enum Diagonal {
    Ntt(PackedPoly),
    /// Integer coefficients, transformed to the NTT domain at each use.
    Compact(CompactPlaintext),
}

impl Diagonal {
    fn residues(&self, context: &Context, i: usize) -> Residues<'_> {
        match self {
            Self::Ntt(packed) => Residues::Stored(packed.limb(i)),
            Self::Compact(compact) => Residues::Made(compact.runs(context, Basis::single(i))),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Ntt(packed) => packed.bytes(),
            Self::Compact(compact) => compact.bytes(),
        }
    }
}

impl TransformShape {
    /// Bytes of memory that the diagonals of a transform with `terms` terms take, each with a period of all `slots`.
    /// As many as fit into `ntt_budget` bytes are counted in the NTT domain, the others as integer coefficients of
    /// 4 bytes, which is exact as long as coefficients have at most 31 bits.
    pub fn estimate_bytes(&self, context: &Context, terms: usize, ntt_budget: usize) -> usize {
        let ntt_bytes = self.diagonal_bytes(context, self.slots);
        let as_ntt = terms.min(ntt_budget / ntt_bytes);
        as_ntt * ntt_bytes + (terms - as_ntt) * 4 * 2 * self.slots
    }

    /// Bytes of the NTT form of a diagonal that repeats with a period (in slots).
    fn diagonal_bytes(&self, context: &Context, period: usize) -> usize {
        let counter = OpCounter::new(context.parameters(), 0..0);
        counter.diagonal_bytes(self.level, period, self.hoisting) as usize
    }

    /// The basis on which inner sums are computed: Q or QP.
    fn inner_basis(&self, context: &Context) -> Result<Basis, Error> {
        let basis = context.basis_at(self.level)?;
        Ok(match self.hoisting {
            Hoisting::Single => basis,
            Hoisting::Double => basis.union(context.special_basis()),
        })
    }

    /// The scale at which diagonals are encoded, such that rescaling gives exactly `output_scale`.
    /// It is halved for real parts: a number plus its conjugate is twice the real part.
    fn diagonal_scale(&self, context: &Context) -> f64 {
        let scale = context.prime(self.level) * self.output_scale / self.input_scale;
        match self.part {
            ComplexPart::Whole => scale,
            ComplexPart::Real => scale / 2.0,
        }
    }

    /// Encodes a diagonal, in the NTT domain or as integer coefficients.
    fn encode<V: Copy + Into<Complex64>>(
        &self,
        context: &Context,
        values: &[V],
        as_ntt: bool,
    ) -> Result<Diagonal, Error> {
        let basis = self.inner_basis(context)?;
        let values: Vec<Complex64> = values.iter().map(|&v| v.into()).collect();
        let compact = context.encode_compact_complex(&values, self.diagonal_scale(context))?;
        compact.check_capacity(context, basis)?;
        Ok(if as_ntt {
            Diagonal::Ntt(compact.packed_runs(context, basis))
        } else {
            Diagonal::Compact(compact)
        })
    }

    fn check(&self, context: &Context) -> Result<(), Error> {
        context.check_slots(self.slots)?;
        check_scale(self.input_scale)?;
        check_scale(self.output_scale)?;
        context.basis_at(self.level)?;
        if self.level == 0 {
            let operation = "a linear transform";
            return Err(Error::LevelsExhausted { operation, needed: 1, level: 0 });
        }
        Ok(())
    }
}

impl LinearTransform {
    /// Encodes the diagonals. Each is a vector of `shape.slots` values, or one period of them,
    /// which takes proportionally less memory. The first diagonals are stored in the NTT domain, up
    /// to `ntt_budget` bytes, the others as integer coefficients.
    ///
    /// The diagonal of a [`Term`] is multiplied before the giant step: entry j of the result of the
    /// term is `diagonal[j + giant]·input[j + giant + baby]`, indices modulo the slots.
    ///
    /// # Errors
    /// [`Error::SlotCount`], [`Error::SlotsMismatch`] if the length of a diagonal does not divide
    /// the slot count, [`Error::InvalidScale`], [`Error::LevelTooHigh`], [`Error::LevelsExhausted`]
    /// at level 0, [`Error::NotFinite`], [`Error::CoefficientOverflow`], [`Error::TermOutOfRange`],
    /// [`Error::EmptyOutput`].
    pub fn new<V: Copy + Into<Complex64> + Sync>(
        context: &Context,
        shape: TransformShape,
        terms: impl IntoIterator<Item = (Term, Vec<V>)>,
        ntt_budget: usize,
    ) -> Result<Self, Error> {
        shape.check(context)?;
        let TransformShape { inputs, outputs, slots, .. } = shape;
        let mut budget = ntt_budget;
        let mut groups: BTreeMap<(usize, i64), Vec<_>> = BTreeMap::new();
        let mut terms = terms.into_iter().peekable();
        while terms.peek().is_some() {
            let (mut batch, mut as_ntt) = (Vec::new(), Vec::new());
            for (term, values) in terms.by_ref().take(ENCODED_TOGETHER) {
                let Term { input, output, .. } = term;
                if input >= inputs || output >= outputs {
                    return Err(Error::TermOutOfRange { input, output, inputs, outputs });
                }
                if values.is_empty() || !slots.is_multiple_of(values.len()) {
                    return Err(Error::SlotsMismatch { left: slots, right: values.len() });
                }
                let left = budget.checked_sub(shape.diagonal_bytes(context, values.len()));
                budget = left.unwrap_or(budget);
                as_ntt.push(left.is_some());
                batch.push((term, values));
            }
            let encode = |((_, values), &as_ntt): (&(Term, Vec<V>), &bool)| {
                shape.encode(context, values, as_ntt)
            };
            let diagonals = batch.par_iter().zip(&as_ntt).map(encode);
            let diagonals = diagonals.collect::<Result<Vec<_>, _>>()?;
            for (&(Term { output, input, giant, baby }, _), diagonal) in batch.iter().zip(diagonals)
            {
                let [giant, baby] = [giant, baby].map(|step| step.rem_euclid(slots as i64));
                groups.entry((output, giant)).or_default().push(((input, baby), diagonal));
            }
        }
        let outputs: BTreeSet<usize> = groups.keys().map(|&(output, _)| output).collect();
        if let Some(empty) = (0..shape.outputs).find(|o| !outputs.contains(o)) {
            return Err(Error::EmptyOutput(empty));
        }
        let baby_steps: BTreeSet<_> = groups.values().flatten().map(|(baby, _)| *baby).collect();
        let baby_steps: Vec<_> = baby_steps.into_iter().collect();
        let index = |baby| {
            baby_steps.binary_search(&baby).expect("baby steps of all terms are in the list")
        };
        let giant_steps = GiantSteps::new(groups.keys().copied(), slots as i64);
        let indexed = |terms: Vec<_>| -> Group {
            terms.into_iter().map(|(baby, diagonal)| (index(baby), diagonal)).collect()
        };
        let groups = groups.into_iter().map(|(sum, terms)| (sum, indexed(terms))).collect();
        Ok(Self { shape, baby_steps, groups, giant_steps, context: context.id() })
    }

    /// The shape of the transform.
    pub fn shape(&self) -> &TransformShape {
        &self.shape
    }

    /// The distinct rotations, modulo the slot count, for which the evaluator needs keys.
    pub fn rotations(&self) -> BTreeSet<i64> {
        let baby_steps = self.baby_steps.iter().map(|&(_, baby)| baby).filter(|&baby| baby != 0);
        baby_steps.chain(self.giant_steps.rotations()).collect()
    }

    /// Bytes of memory held by the diagonals.
    pub fn bytes(&self) -> usize {
        let diagonals = self.groups.values().flatten();
        diagonals.map(|(_, diagonal)| diagonal.bytes()).sum()
    }
}

impl Evaluator {
    /// Applies a linear transform. The outputs have its output scale and are one level lower than
    /// the inputs.
    ///
    /// ```
    /// use pic_ckks::{ComplexPart, Hoisting, LinearTransform, Term, TransformShape};
    /// # let (context, evaluator, encrypt, decrypt) =
    /// #     include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest_setup.rs"));
    /// let x = encrypt(&[1.0, 2.0, 3.0, 4.0]);
    ///
    /// // y[j] = 0.5·x[j] + x[j + 1]: the main diagonal and the one above it, one baby step.
    /// let shape = TransformShape {
    ///     inputs: 1,
    ///     outputs: 1,
    ///     slots: 4,
    ///     level: x.level(),
    ///     input_scale: x.scale(),
    ///     output_scale: x.scale(),
    ///     hoisting: Hoisting::Double,
    ///     part: ComplexPart::Whole,
    /// };
    /// let term = |baby| Term { output: 0, input: 0, giant: 0, baby };
    /// let diagonals = [(term(0), vec![0.5; 4]), (term(1), vec![1.0; 4])];
    /// let transform = LinearTransform::new(&context, shape, diagonals, usize::MAX)?;
    ///
    /// let y = evaluator.linear_transform(&[x], &transform)?;
    /// assert!((decrypt(&y[0])[1] - 4.0).abs() < 1e-5);
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::InputCount`], [`Error::LevelMismatch`],
    /// [`Error::ScaleMismatch`], [`Error::SlotsMismatch`], [`Error::MissingRotationKey`],
    /// [`Error::MissingConjugationKey`], [`Error::KeyLevel`].
    pub fn linear_transform(
        &self,
        inputs: &[Ciphertext],
        transform: &LinearTransform,
    ) -> Result<Vec<Ciphertext>, Error> {
        let TransformShape { level, slots, output_scale, part, .. } = transform.shape;
        self.check_inputs(inputs, transform)?;
        let (context, ring) = (&*self.context, self.context.ring());
        let mut sums = self.in_place(self.inner_sums(inputs, transform)?, transform)?;
        if part == ComplexPart::Real {
            let twice_real = sums.into_par_iter().map(|sum| self.twice_real(sum));
            sums = twice_real.collect::<Result<_, Error>>()?;
        }
        let special = context.special_basis();
        let divisor = special.union(Basis::single(level));
        let outputs = sums.into_iter().map(|sum| {
            let extended =
                |u| if self.is_extended(&u) { u } else { ring.times_special(&u, special) };
            let divide = |u| ring.mod_down(extended(u), divisor);
            let (c0, c1) = rayon::join(|| divide(sum.0), || divide(sum.1));
            Ciphertext { c0, c1, scale: output_scale, slots, context: context.id() }
        });
        Ok(outputs.collect())
    }

    fn check_inputs(
        &self,
        inputs: &[Ciphertext],
        transform: &LinearTransform,
    ) -> Result<(), Error> {
        self.context.check_own(transform.context)?;
        let shape = &transform.shape;
        if inputs.len() != shape.inputs {
            return Err(Error::InputCount { expected: shape.inputs, actual: inputs.len() });
        }
        for input in inputs {
            self.context.check_own(input.context)?;
            check_slots(shape.slots, input.slots)?;
            check_scales(shape.input_scale, input.scale)?;
            let basis = self.context.basis_at(shape.level)?;
            let fits = input.basis().is_subset(basis) && input.basis() == inputs[0].basis();
            if !fits || input.level() != shape.level {
                return Err(Error::LevelMismatch { left: shape.level, right: input.level() });
            }
        }
        Ok(())
    }

    /// The inner sum Σ diagonal ⊙ rotated input of each group: modulo Q, or times P and modulo QP.
    fn inner_sums(
        &self,
        inputs: &[Ciphertext],
        transform: &LinearTransform,
    ) -> Result<Vec<(Poly, Poly)>, Error> {
        let (context, ring) = (&*self.context, self.context.ring());
        let Some(first) = inputs.first() else { return Ok(Vec::new()) };
        let groups: Vec<_> = transform.groups.values().map(Vec::as_slice).collect();
        // Baby steps are sorted by input.
        let by_input: Vec<_> = transform.baby_steps.chunk_by(|a, b| a.0 == b.0).collect();
        Ok(match transform.shape.hoisting {
            Hoisting::Single => {
                let mut rotated = Vec::with_capacity(transform.baby_steps.len());
                for baby_steps in by_input {
                    let rotations: Vec<i64> = baby_steps.iter().map(|&(_, baby)| baby).collect();
                    rotated.extend(self.rotate_hoisted(&inputs[baby_steps[0].0], &rotations)?);
                }
                let operands = |_| rotated.iter().map(|x| [&x.c0, &x.c1]).collect();
                ring.sums_of_products(first.basis(), operands, &groups, |diagonal, i| {
                    diagonal.residues(context, i)
                })
            }
            Hoisting::Double => {
                let special = context.special_basis();
                let basis = first.basis().union(special);
                let decompose = |baby_steps: &&[(usize, i64)]| {
                    let rotates = baby_steps.iter().any(|&(_, baby)| baby != 0);
                    rotates.then(|| Decomposition::new(context, &inputs[baby_steps[0].0].c1))
                };
                let decompositions: Vec<_> = by_input.iter().map(decompose).collect();
                let operands = by_input.iter().zip(&decompositions).map(|(baby_steps, digits)| {
                    self.operand(&inputs[baby_steps[0].0], baby_steps, digits.as_ref())
                });
                let operands = operands.collect::<Result<Vec<_>, Error>>()?;
                ring.hoisted_sums(basis, special, &operands, &groups, |diagonal, i| {
                    diagonal.residues(context, i)
                })
            }
        })
    }

    /// An input with the keys of its baby steps, for rotations that stay modulo QP.
    fn operand<'a>(
        &'a self,
        Ciphertext { c0, c1, slots, .. }: &'a Ciphertext,
        baby_steps: &[(usize, i64)],
        digits: Option<&'a Decomposition>,
    ) -> Result<Operand<'a>, Error> {
        let mut rotations = Vec::with_capacity(baby_steps.len());
        for &(_, baby) in baby_steps {
            let key = self.keys.rotation(&self.context, baby, *slots)?;
            rotations.push(match (key, digits) {
                (Some((galois_element, key)), Some(digits)) => {
                    Some(Rotation { key: key.parts_for(digits)?, galois_element })
                }
                _ => None,
            });
        }
        Ok(Operand { c0, c1, digits: digits.map(Decomposition::raised), rotations })
    }

    /// The sum of the rotated inner sums of each output. An inner sum that is alone is returned as
    /// it is, others times P and modulo QP.
    fn in_place(
        &self,
        inner_sums: Vec<(Poly, Poly)>,
        transform: &LinearTransform,
    ) -> Result<Vec<(Poly, Poly)>, Error> {
        let slots = transform.shape.slots;
        let mut sums: BTreeMap<_, _> = transform.groups.keys().copied().zip(inner_sums).collect();
        for round in &transform.giant_steps.rounds {
            let leaving = round.iter().map(|step| {
                let sum = sums.remove(&(step.output, step.from));
                (sum.expect("each inner sum is rotated at most once"), step.rotation)
            });
            let leaving: Vec<_> = leaving.collect();
            let rotate = |((u0, u1), rotation)| {
                let key = self.keys.rotation(&self.context, rotation, slots)?;
                self.giant_step(&u0, u1, key.expect("giant steps after the first rotate"))
            };
            let arriving =
                leaving.into_par_iter().map(rotate).collect::<Result<Vec<_>, Error>>()?;
            for (step, (mut u0, mut u1)) in round.iter().zip(arriving) {
                let place = (step.output, step.to);
                if let Some(sum) = sums.remove(&place) {
                    self.add_to_extended(&mut u0, &sum.0);
                    self.add_to_extended(&mut u1, &sum.1);
                }
                sums.insert(place, (u0, u1));
            }
        }
        // One sum is left for each output, in ascending order of outputs.
        Ok(sums.into_values().collect())
    }

    /// P times the sum of `sum` and its conjugate, modulo QP.
    fn twice_real(&self, sum: (Poly, Poly)) -> Result<(Poly, Poly), Error> {
        let conjugation = self.keys.conjugation(&self.context)?;
        let (mut u0, mut u1) = self.giant_step(&sum.0, sum.1.clone(), conjugation)?;
        self.add_to_extended(&mut u0, &sum.0);
        self.add_to_extended(&mut u1, &sum.1);
        Ok((u0, u1))
    }

    /// P times the image of a sum (u0, u1) under an automorphism, modulo QP, after the key switch
    /// back to the secret.
    fn giant_step(
        &self,
        u0: &Poly,
        u1: Poly,
        (galois_element, key): (u64, &SwitchingKey),
    ) -> Result<(Poly, Poly), Error> {
        let (context, ring) = (&*self.context, self.context.ring());
        let is_extended = self.is_extended(&u1);
        let c1 = if is_extended { ring.mod_down(u1, context.special_basis()) } else { u1 };
        let (mut v0, v1) = key.apply(context, &c1)?;
        self.add_to_extended(&mut v0, u0);
        Ok((ring.automorphism(&v0, galois_element), ring.automorphism(&v1, galois_element)))
    }

    /// Adds P·`sum` to a polynomial modulo QP; a sum modulo QP has the factor P already.
    fn add_to_extended(&self, extended: &mut Poly, sum: &Poly) {
        let ring = self.context.ring();
        if self.is_extended(sum) {
            ring.add_assign(extended, sum);
        } else {
            ring.add_times_special_assign(extended, sum, self.context.special_basis());
        }
    }

    /// Returns whether a sum is modulo QP and has the factor P.
    fn is_extended(&self, sum: &Poly) -> bool {
        self.context.special_basis().is_subset(sum.basis())
    }
}
