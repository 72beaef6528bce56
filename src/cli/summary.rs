//! Summary of an artifact, which `compile` and `inspect` print.

use std::fmt;

use pic::{Artifact, ClientInfo, Error};
use pic_ckks::model::Parameters;
use pic_ckks::model::bootstrapping::{BootstrappingPlan, EphemeralWeight};
use pic_ckks::model::security::sparse_security;
use pic_ir::activations::Approximation;
use pic_ir::cost::Target;
use pic_ir::prediction::{Fidelity, Memory};
use pic_ir::program::{Op, Program};
use pic_runtime::sharing::precision_needed;
use serde::Serialize;

use super::forecast::{Forecast, Machine};
use super::text::{Table, bytes, fidelity, or_dash};

/// The decisions behind an artifact; the keys of `--json`.
#[derive(Debug, Serialize)]
pub struct Summary {
    part: Part,
    input: Vec<usize>,
    output: Vec<usize>,
    /// Absent where the client's outputs are those of the encrypted network.
    postprocessing: Option<Postprocessing>,
    log_n: u32,
    log_qp: f64,
    security_bits: u32,
    secret: &'static str,
    /// Absent without bootstrapping.
    bootstrapping: Option<Bootstrapping>,
    levels: usize,
    rotations: usize,
    /// Samples, preprocessed, beyond it are refused.
    input_range: [f64; 2],
    /// Answers beyond it are unreliable.
    output_range: [f64; 2],
    calibration_samples: Option<usize>,
    /// Absent in files for clients and servers.
    activations: Option<Vec<Activation>>,
    /// Operations by kind; absent in files for clients.
    operations: Option<Operations>,
    /// Absent in programs without one.
    range_check: Option<Checks>,
    /// Largest number of answers under one secret key in which `decrypt --share` can hide the scheme's error.
    shareable_answers: u64,
    /// Frequency with which intervals of polynomials were left; absent in files for clients and servers.
    held_back: Option<HeldBack>,
    predicted: Predicted,
    program_hash: String,
}

/// Parts of a compiled model that a file holds.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Complete,
    Server,
    Client,
}

/// What the client does with decrypted outputs.
#[derive(Debug, Serialize)]
struct Postprocessing {
    /// The steps in order, as `Softmax(axis 0)`. Axes are those of a sample, without the batch.
    steps: Vec<String>,
    /// Extents of the result.
    output: Vec<usize>,
}

/// Properties of a bootstrapped program that its answers and secret key depend on, in addition to the parameters.
#[derive(Debug, Serialize)]
struct Bootstrapping {
    /// Nonzero coefficients of the ephemeral secret.
    ephemeral_weight: usize,
    /// log2 of q0·p, the modulus of the keys under it.
    ephemeral_log_modulus: f64,
    /// Bits of its security, at least; none if insecure parameters exceed the table.
    ephemeral_security_bits: Option<u32>,
    /// log2 of the probability that the bootstrap of one ciphertext fails, at most; absent in files for clients.
    log2_failure: Option<f64>,
}

/// One activation layer.
#[derive(Debug, Serialize)]
struct Activation {
    name: String,
    kind: &'static str,
    degree: usize,
    depth: u32,
    range: [f64; 2],
    r: f64,
    /// Level of its result; none if the program computes it under another name.
    level: Option<usize>,
}

/// Number of values of each kind that a program computes.
#[derive(Debug, Default, Serialize)]
struct Operations {
    linear: usize,
    polynomials: usize,
    products: usize,
    bootstraps: usize,
}

/// The range check of a program.
#[derive(Debug, Serialize)]
struct Checks {
    /// Values that compute it; absent in files for clients.
    operations: Option<usize>,
    /// The sum that no honest sample exceeds.
    limit: f64,
}

/// Calibration samples that were held back when polynomials were fitted.
#[derive(Debug, Serialize)]
struct HeldBack {
    samples: usize,
    /// Number of samples that take some activation's input out of the interval of its polynomial.
    outside: usize,
}

#[derive(Debug, Serialize)]
struct Predicted {
    #[serde(flatten)]
    time: Forecast,
    peak_bytes: u64,
    /// Parts of the peak.
    memory: Memory,
    precision_bits: f64,
    fidelity: Option<Fidelity>,
}

impl Summary {
    /// Reads as much as the artifact has, and forecasts for this machine.
    pub fn new(artifact: &Artifact, machine: &Machine) -> Result<Self, Error> {
        let client = artifact.client()?;
        let (input_range, output_range) = (client.input_range(), client.output_range());
        let postprocessing = Postprocessing::new(&client)?;
        let ClientInfo {
            parameters, input, output, keys, predicted, calibration, range_check, ..
        } = client;
        let program = present(artifact.program())?;
        let model = present(artifact.model())?;
        let held_back = model
            .as_ref()
            .map(|model| HeldBack { samples: model.facts.held_back, outside: model.facts.outside });
        let part = match (&program, &model) {
            (None, _) => Part::Client,
            (Some(_), None) => Part::Server,
            (Some(_), Some(_)) => Part::Complete,
        };
        let outputs = output.shape.iter().product();
        let activations = model.map(|model| {
            let layers = model.activations.layers.iter();
            layers.map(|layer| Activation::new(layer, program.as_deref())).collect()
        });
        Ok(Self {
            part,
            input: input.shape,
            output: output.shape,
            postprocessing,
            log_n: parameters.log_n(),
            log_qp: parameters.log_qp(),
            security_bits: parameters.security().bits(),
            secret: "ternary",
            bootstrapping: keys.encapsulation.map(|weight| {
                let plan = program.as_ref().and_then(|program| program.bootstrapping.as_ref());
                Bootstrapping::new(&parameters, weight, plan)
            }),
            levels: parameters.max_level(),
            rotations: keys.rotations.len(),
            input_range,
            output_range,
            calibration_samples: calibration.map(|calibration| calibration.samples),
            activations,
            operations: program.as_deref().map(Operations::new),
            range_check: range_check.map(|part| Checks {
                operations: program.as_ref().map(|program| program.range_check_values().len()),
                limit: part.check.limit,
            }),
            shareable_answers: shareable_answers(predicted.precision_bits, outputs),
            held_back,
            predicted: Predicted {
                time: machine.forecast(&predicted),
                peak_bytes: predicted.memory.total_bytes(),
                memory: predicted.memory,
                precision_bits: predicted.precision_bits,
                fidelity: predicted.fidelity,
            },
            program_hash: artifact.program_hash().to_string(),
        })
    }

    /// The machine for which the program was compiled.
    pub fn target(&self) -> Target {
        self.predicted.time.target
    }
}

/// Parts of an artifact may be left out by intention.
fn present<T>(part: Result<T, Error>) -> Result<Option<T>, Error> {
    match part {
        Ok(part) => Ok(Some(part)),
        Err(Error::MissingPart { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Largest number of shared answers, of `outputs` elements each, for which a precision suffices.
fn shareable_answers(precision_bits: f64, outputs: usize) -> u64 {
    // The precision needed grows with the number of answers.
    let suffices = |answers: u64| precision_needed(answers, outputs) <= precision_bits;
    let (mut most, mut step) = (0u64, 1u64 << 63);
    while step > 0 {
        most += if suffices(most + step) { step } else { 0 };
        step /= 2;
    }
    most
}

impl Postprocessing {
    /// That of a client; none if there is none.
    fn new(client: &ClientInfo) -> Result<Option<Self>, Error> {
        let steps: Vec<String> =
            client.postprocessing.steps.iter().map(ToString::to_string).collect();
        let output = client.outputs_shape()?;
        Ok((!steps.is_empty()).then_some(Self { steps, output }))
    }
}

impl Bootstrapping {
    fn new(
        parameters: &Parameters,
        weight: EphemeralWeight,
        plan: Option<&BootstrappingPlan>,
    ) -> Self {
        let log_modulus = parameters.log_encapsulation_modulus();
        Self {
            ephemeral_weight: weight.get(),
            ephemeral_log_modulus: log_modulus,
            ephemeral_security_bits: sparse_security(parameters.log_n(), log_modulus),
            log2_failure: plan.map(BootstrappingPlan::log2_failure),
        }
    }
}

impl fmt::Display for Bootstrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ephemeral secret: weight {}, ", self.ephemeral_weight)?;
        match self.ephemeral_security_bits {
            Some(bits) => write!(f, "≥ {bits} bits")?,
            None => write!(f, "security unknown")?,
        }
        write!(f, " (log q0·p = {:.1})", self.ephemeral_log_modulus)?;
        match self.log2_failure {
            Some(log2) => write!(f, "; a bootstrap fails with probability ≤ 2^{log2:.1}"),
            None => Ok(()),
        }
    }
}

impl Activation {
    fn new(layer: &Approximation, program: Option<&Program>) -> Self {
        let value = program.and_then(|p| p.values.iter().find(|v| v.name == layer.name));
        let (center, half_width) = (layer.center, layer.half_width);
        Self {
            name: layer.name.clone(),
            kind: layer.function.name(),
            degree: layer.degree(),
            depth: pic_ckks::model::chebyshev::absorbing_depth(&layer.coefficients),
            range: [center - half_width, center + half_width],
            r: layer.stretch,
            level: value.map(|v| v.level),
        }
    }
}

impl Operations {
    fn new(program: &Program) -> Self {
        let mut count = Self::default();
        for value in &program.values {
            match value.op {
                Op::Input => {}
                Op::Linear { .. } => count.linear += 1,
                Op::Polynomial { .. } => count.polynomials += 1,
                Op::Product { .. } => count.products += 1,
                Op::Bootstrap { .. } => count.bootstraps += 1,
            }
        }
        count
    }
}

/// Parts of the memory by purpose, without those that are zero.
fn memory_parts(memory: &Memory) -> String {
    let Memory { key_bytes, diagonal_bytes, matrix_bytes, ciphertext_bytes, workspace_bytes } =
        *memory;
    let parts = [
        ("keys", key_bytes),
        ("diagonals", diagonal_bytes),
        ("bootstrapping matrices", matrix_bytes),
        ("ciphertexts", ciphertext_bytes),
        ("workspace", workspace_bytes),
    ];
    let part = |&(name, size): &(&str, u64)| (size > 0).then(|| format!("{} {name}", bytes(size)));
    parts.iter().filter_map(part).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Complete => "the complete model, for its owner",
            Part::Server => "the part for servers: for running, without the original network",
            Part::Client => {
                "the part for clients: for keys, encryption and decryption, without weights"
            }
        };
        writeln!(f, "file         {part}")?;
        writeln!(f, "network      {:?} → {:?}", self.input, self.output)?;
        if let Some(Postprocessing { steps, output }) = &self.postprocessing {
            let steps = steps.join(", ");
            writeln!(
                f,
                "client       {steps}: applied by the client after decryption → {output:?}"
            )?;
        }
        if let Some(Operations { linear, polynomials, products, bootstraps }) = self.operations {
            writeln!(
                f,
                "program      {linear} linear, {polynomials} polynomials, {products} products, \
                 {bootstraps} bootstraps; {} levels, {} rotation keys",
                self.levels, self.rotations
            )?;
        }
        writeln!(
            f,
            "parameters   N = 2^{}, log QP = {:.0}, {} secret, {}-bit security",
            self.log_n, self.log_qp, self.secret, self.security_bits
        )?;
        if let Some(bootstrapping) = &self.bootstrapping {
            writeln!(f, "             {bootstrapping}")?;
        }
        let range = |[low, high]: [f64; 2]| format!("{low:.4} … {high:.4}");
        let (inputs, outputs) = (range(self.input_range), range(self.output_range));
        let samples = or_dash(self.calibration_samples, |samples| samples.to_string());
        writeln!(
            f,
            "ranges       inputs {inputs}, outputs {outputs}, by {samples} calibration samples"
        )?;
        if let Some(HeldBack { samples, outside }) = self.held_back {
            writeln!(
                f,
                "intervals    {outside} of {samples} held-back samples leave that of some activation"
            )?;
        }
        match self.range_check {
            Some(Checks { operations: Some(operations), limit }) => {
                writeln!(f, "range check  {operations} operations, limit {limit:.2}")?;
            }
            Some(Checks { operations: None, limit }) => {
                writeln!(f, "range check  limit {limit:.2}")?;
            }
            None => writeln!(f, "range check  none")?,
        }
        match self.shareable_answers {
            0 => writeln!(f, "sharing      none: see `compile --shareable`")?,
            most => writeln!(f, "sharing      {most} answers under one secret key, at most")?,
        }
        let p = &self.predicted;
        writeln!(
            f,
            "predicted    {}\n             {} of memory: {}",
            p.time,
            bytes(p.peak_bytes),
            memory_parts(&p.memory)
        )?;
        writeln!(
            f,
            "             {:.1} bits of precision, {}",
            p.precision_bits,
            p.fidelity.map_or_else(|| "accuracy not measured".into(), fidelity)
        )?;
        writeln!(f, "hash         {}", self.program_hash)?;
        if let Some(layers) = &self.activations {
            let headings = ["activation", "kind", "degree", "depth", "range", "stretch", "level"];
            let mut table = Table::new(&headings);
            for a in layers {
                table.row([
                    a.name.clone(),
                    a.kind.into(),
                    a.degree.to_string(),
                    a.depth.to_string(),
                    format!("{:.2} … {:.2}", a.range[0], a.range[1]),
                    format!("{:.2}", a.r),
                    or_dash(a.level, |l| l.to_string()),
                ]);
            }
            write!(f, "\n{table}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pic_ckks::model::SecurityLevel;
    use pic_ckks::model::bootstrapping::{BootstrappingRequest, LOG2_FAILURE, SlotData};

    /// As many as have been asked for, or more, but none that would take more precision.
    #[test]
    fn programs_suffice_for_the_answers_they_are_compiled_for() {
        for answers in [1, 50, 1 << 40] {
            let needed = precision_needed(answers, 10);
            assert!(shareable_answers(needed + 1e-9, 10).abs_diff(answers) <= answers >> 20);
            assert!(shareable_answers(needed + 1e-9, 10) >= answers);
        }
        assert_eq!(shareable_answers(precision_needed(1, 10) - 0.1, 10), 0);
        assert_eq!(shareable_answers(f64::INFINITY, 1), u64::MAX);
    }

    /// The numbers of the plan, and for its ring and modulus the bits of the published attack.
    #[test]
    fn bootstrapping_is_shown_with_its_secret_and_failures() {
        let request = BootstrappingRequest {
            log_n: 15,
            slots: 1 << 10,
            data: SlotData::Real,
            levels: 4,
            log_scale: 35.0,
            log_output_scale: 35.0,
            precision: 13.0,
            log2_failure: LOG2_FAILURE,
            ephemeral_weight: EphemeralWeight::W48,
            security: SecurityLevel::Bits128,
        };
        let plan = request.plan().unwrap();
        let parameters = plan.parameters();
        let [q0, p] =
            [parameters.moduli()[0], parameters.special()[parameters.encapsulation_prime()]];
        let log_modulus = format!("{:.1}", (q0 as f64).log2() + (p as f64).log2());
        assert!((60.0..80.0).contains(&log_modulus.parse().unwrap()), "{log_modulus}");
        let secret = format!("ephemeral secret: weight 48, ≥ 147 bits (log q0·p = {log_modulus})");
        let failure = format!("2^{:.1}", plan.log2_failure());
        assert_eq!(
            Bootstrapping::new(parameters, plan.ephemeral_weight(), Some(&plan)).to_string(),
            format!("{secret}; a bootstrap fails with probability ≤ {failure}")
        );
        let client = Bootstrapping::new(parameters, plan.ephemeral_weight(), None);
        assert_eq!(client.to_string(), secret);
        let keys = serde_json::to_value(client).unwrap();
        assert_eq!(
            (&keys["ephemeral_weight"], &keys["ephemeral_security_bits"]),
            (&48.into(), &147.into())
        );
    }
}
