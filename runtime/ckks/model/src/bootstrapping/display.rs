//! Text form of a plan: use of the modulus, estimated precision and failure probability, cost.

use std::fmt;
use std::ops::Range;

use super::{BootstrappingPlan, Order, SlotData};
use crate::UnitCosts;
use crate::security::sparse_security;

impl fmt::Display for BootstrappingPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self.parameters();
        let bits = |primes: &[u64]| primes.iter().map(|&q| libm::log2(q as f64)).sum::<f64>();
        let (stages, level) = (self.0.slots_to_coeffs.len(), self.input_level());
        let application = level + 1..level + 1 + self.levels();
        let slots_to_coeffs = match self.order() {
            Order::SlotsToCoeffsFirst => 1..1 + stages,
            Order::Conventional => application.end..application.end + stages,
        };
        let eval_mod = 1 + stages + self.levels()..self.eval_mod_level() + 1;
        let coeffs_to_slots = self.eval_mod_level() + 1..parameters.max_level() + 1;
        writeln!(f, "{parameters}")?;
        write!(f, "modulus: {:.1} q0", bits(&parameters.moduli()[..1]))?;
        let mut part = |name, range: Range<usize>| {
            let primes = &parameters.moduli()[range];
            write!(f, " + {:.1} {name} ({})", bits(primes), primes.len())
        };
        part("SlotsToCoeffs", slots_to_coeffs)?;
        part("application", application)?;
        part("EvalMod", eval_mod)?;
        part("CoeffsToSlots", coeffs_to_slots)?;
        let special = parameters.special();
        writeln!(f, " + {:.1} special ({})", bits(special), special.len())?;

        let modulus = self.parameters().log_encapsulation_modulus();
        let weight = self.ephemeral_weight();
        write!(f, "ephemeral secret: weight {weight}, keys of {modulus:.1} bits, ")?;
        match sparse_security(parameters.log_n(), modulus) {
            Some(bits) => writeln!(f, "security of {bits} bits at least")?,
            None => writeln!(f, "security unknown")?,
        }
        let data = match self.data() {
            SlotData::Real => "real",
            SlotData::Complex => "complex",
        };
        let order = match self.order() {
            Order::SlotsToCoeffsFirst => "SlotsToCoeffs first",
            Order::Conventional => "conventional order",
        };
        writeln!(
            f,
            "slots: {} {data}, {order}; scales, log2: input {:.1}, raised {:.1}, EvalMod {:.1}, output {:.1}",
            self.slots(),
            self.0.log_input_scale,
            libm::log2(parameters.moduli()[0] as f64) - self.0.log_ratio,
            self.0.log_eval_mod_scale,
            self.0.log_output_scale
        )?;
        writeln!(
            f,
            "radices, log2: SlotsToCoeffs {:?}, CoeffsToSlots {:?}",
            self.0.slots_to_coeffs, self.0.coeffs_to_slots
        )?;
        let reduction = self.eval_mod();
        writeln!(
            f,
            "EvalMod: message ratio 2^{:.1}, |x| <= {:.3}, degree {}, {} squarings, {} harmonics; exceeded with probability 2^{:.1}",
            self.0.log_ratio,
            reduction.bound,
            reduction.degree,
            reduction.squarings,
            reduction.harmonics,
            self.log2_failure()
        )?;
        let error = self.error(1.0 / 3.0);
        writeln!(
            f,
            "precision: {:.1} bits in the mean, {:.1} at least",
            error.mean_bits(),
            error.minimum_bits()
        )?;
        let seconds = |target| UnitCosts::REFERENCE.seconds(self.cost(target));
        write!(
            f,
            "cost: {:.3} s on one thread for {} levels, {:.3} s for none; keys {} MiB, matrices {} MiB",
            seconds(self.levels()),
            self.levels(),
            seconds(0),
            self.keys().bytes(self.parameters()) >> 20,
            self.matrix_bytes() >> 20
        )
    }
}
