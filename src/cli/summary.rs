//! What an artifact holds, as `compile` and `inspect` print it.

use std::fmt;

use pic::{Artifact, ClientInfo, Error};
use pic_ir::activations::Approximation;
use pic_ir::cost::Target;
use pic_ir::memory::Memory;
use pic_ir::program::{Op, Program};
use serde::Serialize;

use super::forecast::{Forecast, Machine};
use super::text::{Table, bytes, or_dash, percent};

/// The decisions behind an artifact; the keys of `--json`.
#[derive(Debug, Serialize)]
pub struct Summary {
    input: Vec<usize>,
    output: Vec<usize>,
    log_n: u32,
    log_qp: f64,
    security_bits: u32,
    secret: &'static str,
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
    predicted: Predicted,
    program_hash: String,
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

/// How many values of each kind a program computes.
#[derive(Debug, Default, Serialize)]
struct Operations {
    linear: usize,
    polynomials: usize,
    products: usize,
    bootstraps: usize,
}

#[derive(Debug, Serialize)]
struct Predicted {
    #[serde(flatten)]
    time: Forecast,
    peak_bytes: u64,
    /// What the peak consists of.
    memory: Memory,
    precision_bits: f64,
    accuracy_drop: Option<f64>,
}

impl Summary {
    /// Reads as much as the artifact has, and forecasts for this machine.
    pub fn new(artifact: &Artifact, machine: &Machine) -> Result<Self, Error> {
        let client = artifact.client()?;
        let (input_range, output_range) = (client.input_range(), client.output_range());
        let ClientInfo { parameters, input, output, keys, predicted, calibration, .. } = client;
        let program = present(artifact.program())?;
        let model = present(artifact.model())?;
        let activations = model.map(|model| {
            let layers = model.activations.layers.iter();
            layers.map(|layer| Activation::new(layer, program.as_ref())).collect()
        });
        Ok(Self {
            input: input.shape,
            output: output.shape,
            log_n: parameters.log_n(),
            log_qp: parameters.log_qp(),
            security_bits: parameters.security().bits(),
            secret: "ternary",
            levels: parameters.max_level(),
            rotations: keys.rotations.len(),
            input_range,
            output_range,
            calibration_samples: calibration.map(|calibration| calibration.samples),
            activations,
            operations: program.as_ref().map(Operations::new),
            predicted: Predicted {
                time: machine.forecast(&predicted),
                peak_bytes: predicted.memory.total_bytes(),
                memory: predicted.memory,
                precision_bits: predicted.precision_bits,
                accuracy_drop: predicted.accuracy_drop,
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

impl Activation {
    fn new(layer: &Approximation, program: Option<&Program>) -> Self {
        let value = program.and_then(|p| p.values.iter().find(|v| v.name == layer.name));
        let (center, half_width) = (layer.center, layer.half_width);
        Self {
            name: layer.name.clone(),
            kind: layer.function.name(),
            degree: layer.degree(),
            depth: pic_ckks::model::chebyshev::folded_depth(&layer.coefficients),
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

/// What memory is for, without what a program has none of.
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
        writeln!(f, "network      {:?} → {:?}", self.input, self.output)?;
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
        let range = |[low, high]: [f64; 2]| format!("{low:.4} … {high:.4}");
        let (inputs, outputs) = (range(self.input_range), range(self.output_range));
        let samples = or_dash(self.calibration_samples, |samples| samples.to_string());
        writeln!(
            f,
            "ranges       inputs {inputs}, outputs {outputs}, by {samples} calibration samples"
        )?;
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
            "             {:.1} bits of precision, accuracy drop {}",
            p.precision_bits,
            or_dash(p.accuracy_drop, percent)
        )?;
        writeln!(f, "hash         {}", self.program_hash)?;
        if let Some(layers) = &self.activations {
            let headings = ["activation", "kind", "degree", "depth", "range", "r", "level"];
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
