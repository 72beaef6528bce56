//! What the targets share: small programs and a model, and containers whose hashes are right.
//!
//! A hash would keep a fuzzer out; whoever makes a hostile file makes its hashes as well.

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use pic_ckks::model::op_counts::Hoisting;
use pic_ckks::model::{ChebyshevPlan, KeyRequest, Parameters, SecurityLevel};
use pic_ir::activations::{Activations, Approximation};
use pic_ir::function::Function;
use pic_ir::layout::Layout;
use pic_ir::matrix::{Conv, ConvAxis, Matrix};
use pic_ir::network::{self, Network};
use pic_ir::postprocessing::Postprocessing;
use pic_ir::preprocessing::Preprocessing;
use pic_ir::profile::Profile;
use pic_ir::prediction::Prediction;
use pic_ir::program::{Op, Port, Program, Value, VerifiedProgram};
use pic_ir::transform::{BsgsSchedule, Schedule};
use pic_runtime::Model;
use pic_runtime::artifact::CompileFacts;
use pic_runtime::container::{Kind, ProgramHash, Writer};

/// A linear value, a polynomial and a linear value on an insecure ring.
pub fn program() -> VerifiedProgram {
    let bits = [46.0, 30.0, 30.0, 30.0, 30.0];
    let parameters = Parameters::from_bits(5, &bits, &[47.0], 5, SecurityLevel::Insecure).unwrap();
    let layout = Layout::contiguous(8);
    let value = |name: &str, level, op| Value {
        name: name.into(),
        op,
        layout: layout.clone(),
        level,
        scale: f64::from(1 << 30),
        center: 0.0,
        half_width: 1.0,
    };
    let linear = |operand| Op::Linear {
        operands: vec![operand],
        matrices: vec![Matrix::Dense {
            outer: 1,
            rows: 8,
            cols: 8,
            inner: 1,
            weights: (0..64).map(|k| f32::from(k as i8 % 7) / 64.0).collect(),
        }],
        bias: Some(vec![0.1; 8]),
        schedule: Schedule {
            bsgs: BsgsSchedule { giant_width: 4, pair_shift: 1 },
            hoisting: Hoisting::Double,
        },
    };
    // Of a degree whose scale is free.
    let coefficients = vec![0.1, 0.5, 0.2, 0.1];
    let depth = ChebyshevPlan::absorbing(&coefficients).map(|_| 2).unwrap();
    let port = |name: &str| Port { name: name.into(), shape: vec![8] };
    Program {
        log_slots: layout.log_period,
        parameters,
        input: port("x"),
        output: port("y"),
        preprocessing: Preprocessing::default(),
        postprocessing: Postprocessing::default(),
        values: vec![
            value("x", 4, Op::Input),
            value("a", 3, linear(0)),
            value("p", 3 - depth, Op::Polynomial { operand: 1, coefficients }),
            value("y", 0, linear(2)),
        ],
        range_check: None,
        bootstrapping: None,
        keys: KeyRequest::default(),
        predicted: Prediction::default(),
    }
    .verify_with_required_keys().unwrap()
}

/// The same with every kind of matrix.
pub fn programs() -> Vec<VerifiedProgram> {
    let weights: Vec<f32> = (1..=12).map(|k| k as f32 / 16.0).collect();
    let diagonal = Matrix::Diagonal(weights[..8].to_vec());
    let gather = Matrix::Gather { cols: 8, sources: (0..8).map(|k| 3 * k % 8).collect() };
    let sparse = Matrix::Sparse {
        cols: 8,
        offsets: (0..=8).collect(),
        indices: (0..8).rev().collect(),
        values: weights[..8].to_vec(),
    };
    let axis = ConvAxis { input: 4, output: 4, kernel: 3, stride: 1, dilation: 1, pad: 1 };
    let conv = Matrix::Conv(Conv {
        out_channels: 2,
        in_channels: 2,
        groups: 1,
        axes: vec![axis],
        weights,
    });
    let product = Matrix::Product(vec![conv.clone(), gather.clone(), diagonal.clone()]);
    let with = |matrix| {
        let mut program = program().into_program();
        if let Op::Linear { matrices, .. } = &mut program.values[1].op {
            *matrices = vec![matrix];
        }
        program.verify_with_required_keys().unwrap()
    };
    let mut programs = vec![program()];
    programs.extend([diagonal, gather, sparse, conv, product].map(with));
    programs
}

/// The owner's part of an artifact: an activation and a linear node.
pub fn model() -> Model {
    let mut network = Network::with_input("x", vec![3]);
    let node = |name: &str, op| network::Node {
        name: name.into(),
        provenance: vec![name.into()],
        op,
        shape: vec![3],
    };
    network.push(node("act", network::Op::Activation(Function::Relu)), &[network.input()]);
    let matrices = vec![Matrix::identity(3).compose(Matrix::Diagonal(vec![1.0, 2.0, 3.0]))];
    let linear = network::Op::Linear { matrices, bias: Some(vec![0.5; 3]) };
    network.push(node("fc", linear), &[network.output]);
    let layer = Approximation {
        name: "act".into(),
        function: Function::Relu,
        center: 0.0,
        half_width: 2.0,
        stretch: 1.0,
        coefficients: vec![0.5, 0.5, 0.25],
        error: 0.1,
        loss: 0.1,
    };
    Model {
        network,
        activations: Activations { layers: vec![layer] },
        profile: Profile { samples: 1, layers: vec![] },
        facts: CompileFacts::default(),
    }
}

/// The program hash of an artifact, and the content of its section `parts`, of which it is made.
pub fn parts(client: &[u8], program: &[u8]) -> (ProgramHash, Vec<u8>) {
    let parts = [*blake3::hash(client).as_bytes(), *blake3::hash(program).as_bytes()].concat();
    let context = "pic program hash of client and program part v5";
    (blake3::derive_key(context, &parts).into(), parts)
}

/// A container of raw sections.
pub fn container(kind: Kind, program: ProgramHash, sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), kind, program).unwrap();
    for (name, bytes) in sections {
        writer.raw(name, |w| w.write_all(bytes)).unwrap();
    }
    writer.finish().unwrap()
}

/// A section with `bytes` from some position on: in place of as many, or of `removed`.
pub fn spliced(section: &[u8], at: u32, removed: Option<u16>, bytes: &[u8]) -> Vec<u8> {
    let at = at as usize % section.len();
    let removed = removed.map_or(bytes.len(), usize::from);
    let rest = &section[(at + removed).min(section.len())..];
    [&section[..at], bytes, rest].concat()
}

/// Makes the hashes of a damaged container right again: of the sections that its table names, as far as there are any, and
/// of header and table.
pub fn reseal(bytes: &mut [u8]) {
    const HEADER: usize = 48;
    const TRAILER: usize = 4 + 32 + 8;
    let Some(end) = bytes.len().checked_sub(TRAILER) else { return };
    let (_, trailer) = bytes.split_at(end);
    let length = u32::from_le_bytes(*trailer.first_chunk().unwrap());
    let Some(start) = end.checked_sub(length as usize).filter(|&start| start >= HEADER) else {
        return;
    };
    let (mut at, mut content) = (start, HEADER);
    while let Some((lengths, hash)) = line(&bytes[..end], at) {
        let stored = u64::from_le_bytes(*bytes[lengths].first_chunk().unwrap());
        let Some(stop) = content.checked_add(stored as usize).filter(|&stop| stop <= start) else {
            break;
        };
        let found = blake3::hash(&bytes[content..stop]);
        bytes[hash.clone()].copy_from_slice(found.as_bytes());
        (at, content) = (hash.end, stop);
    }
    let found = blake3::hash(&[&bytes[..HEADER], &bytes[start..end]].concat());
    bytes[end + 4..end + 36].copy_from_slice(found.as_bytes());
}

/// Where a line of the table has its two lengths and its hash.
fn line(table: &[u8], at: usize) -> Option<(Range<usize>, Range<usize>)> {
    let lengths = at + 1 + usize::from(*table.get(at)?) + 1;
    let hash = lengths + 16;
    (hash + 32 <= table.len()).then_some((lengths..hash, hash..hash + 32))
}

/// Writes a file of this process, always the same one, for what reads files alone.
pub fn file(bytes: &[u8]) -> &'static Path {
    static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
        let shared = Path::new("/dev/shm");
        let folder = if shared.is_dir() { shared.into() } else { std::env::temp_dir() };
        folder.join(format!("pic-fuzz-{}", std::process::id()))
    });
    std::fs::write(&*PATH, bytes).unwrap();
    &PATH
}
