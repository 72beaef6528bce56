//! What the targets share: a small program, and containers whose hashes are right.
//!
//! A hash would keep a fuzzer out; whoever makes a hostile file makes its hashes as well.

use std::io::Write;

use pic_ckks::model::{ChebyshevPlan, KeyRequest, Parameters, SecurityLevel};
use pic_ir::layout::Layout;
use pic_ir::matrix::Matrix;
use pic_ir::preprocessing::Preprocessing;
use pic_ir::program::{Op, Port, Prediction, Program, Value};
use pic_ir::transform::Schedule;
use pic_runtime::container::{Kind, ProgramHash, Writer};

/// A linear value, a polynomial and a linear value on an insecure ring.
pub fn program() -> Program {
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
        schedule: Schedule { step: 4, shift: 1 },
    };
    // Of a degree whose scale is free.
    let coefficients = vec![0.1, 0.5, 0.2, 0.1];
    let depth = ChebyshevPlan::folded(&coefficients).map(|_| 2).unwrap();
    let port = |name: &str| Port { name: name.into(), shape: vec![8] };
    let mut program = Program {
        log_slots: layout.log_period,
        parameters,
        input: port("x"),
        output: port("y"),
        preprocessing: Preprocessing::default(),
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
    };
    program.keys = program.required_keys();
    program.verify().unwrap();
    program
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
