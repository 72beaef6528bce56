//! One suite for all engines: what `docs/design/engines.md` says that an engine promises, tested alike on each.
//!
//! The right answers are those of [`reference`], which computes programs from their definition.

use std::process::Command;

use pic_ckks::model::KernelSet;
use pic_ckks::ring::kernels_available;
use pic_ir::layout::Layout;
use pic_ir::matrix::Matrix;
use pic_ir::program::VerifiedProgram;
use pic_runtime::clear::{Clear, Noise};
use pic_runtime::{Artifact, Client, Server};

use crate::support::{
    Builder, Random, bootstrapped_program, output_error, parameters, random_program, sample,
    tolerance,
};

/// A way to run programs on samples.
trait Tested {
    /// The outputs, in real units.
    fn outputs(program: &VerifiedProgram, samples: &[Vec<f32>]) -> Vec<Vec<f32>>;

    /// Largest error of a stored output.
    fn tolerance(program: &VerifiedProgram) -> f64;
}

/// In the clear.
struct Exact;

impl Tested for Exact {
    fn outputs(program: &VerifiedProgram, samples: &[Vec<f32>]) -> Vec<Vec<f32>> {
        Clear::new(program).run(samples, None).unwrap().outputs
    }

    /// Diagonals are in single precision.
    fn tolerance(_: &VerifiedProgram) -> f64 {
        2e-6
    }
}

/// In the clear, with the errors that encryption is predicted to add.
struct Noisy;

impl Tested for Noisy {
    fn outputs(program: &VerifiedProgram, samples: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let errors = pic_ir::precision::errors(program);
        let std: Vec<f64> = errors.iter().map(|error| error.own.sqrt()).collect();
        let noise = Some(Noise { std: &std, seed: 1 });
        Clear::new(program).run(samples, noise).unwrap().outputs
    }

    fn tolerance(program: &VerifiedProgram) -> f64 {
        tolerance(program)
    }
}

/// On ciphertexts.
struct Encrypted;

impl Tested for Encrypted {
    fn outputs(program: &VerifiedProgram, samples: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let artifact = Artifact::new(program, None).unwrap();
        let client = Client::generate(&artifact).unwrap();
        let keys = client.make_evaluation_keys().unwrap();
        let server = Server::new(&artifact, keys).unwrap();
        let output = server.run(&client.encrypt(samples).unwrap()).unwrap();
        client.decrypt_raw(&output).unwrap().into_iter().map(|answer| answer.outputs).collect()
    }

    fn tolerance(program: &VerifiedProgram) -> f64 {
        tolerance(program)
    }
}

/// Runs samples and compares each answer with the definition of the program.
fn check<E: Tested>(program: &VerifiedProgram, seed: u64) {
    let samples: Vec<_> = (0..2).map(|k| sample(program, seed ^ k)).collect();
    let outputs = E::outputs(program, &samples);
    assert_eq!(outputs.len(), samples.len());
    for (sample, output) in samples.iter().zip(&outputs) {
        let (error, tolerance) = (output_error(program, sample, output), E::tolerance(program));
        assert!(error < tolerance, "seed {seed}: an error of {error}, {tolerance} is allowed");
    }
}

/// Layouts of different periods, several ciphertexts, biases and centers, sums over levels and scales, products.
fn random_programs<E: Tested>() {
    for seed in 0..16 {
        check::<E>(&random_program(5 + (seed % 5) as u32, seed), seed);
    }
}

fn bootstraps<E: Tested>() {
    for log_slots in [9, 4] {
        check::<E>(&bootstrapped_program(10, log_slots, 5), 1);
    }
}

/// Linear values from one ciphertext to several and back.
fn several_ciphertexts<E: Tested>() {
    let random = &mut Random(7);
    let mut b = Builder::new(parameters(5, 3), Layout::contiguous(10), 1.0);
    let wide = random.dense(60, 10);
    let hidden = b.linear(&[0], vec![wide], None, Layout::contiguous(60), random);
    let narrow = random.dense(4, 60);
    b.linear(&[hidden], vec![narrow], Some(vec![0.5; 4]), Layout::contiguous(4), random);
    check::<E>(&b.finish(), 2);
}

/// A square, a product with a value at another level, an operand that is read twice, and elements of the output that
/// nothing but the bias reaches.
fn products_and_constants<E: Tested>() {
    let random = &mut Random(9);
    for log_n in [5, 8] {
        let mut b = Builder::new(parameters(log_n, 4), random.layout(40), 1.0);
        let hidden = random.layout(40);
        let (x, y) = (random.dense(40, 40), random.dense(40, 40));
        let sum = b.linear(&[0, 0], vec![x, y], None, hidden.clone(), random);
        b.value(sum).center = 0.0;
        let square = b.product(sum, sum);
        let product = b.product(square, sum);
        // Only the first two outputs depend on anything: with 16 slots, whole ciphertexts do not.
        let offsets = [0, 40, 80].into_iter().chain(std::iter::repeat_n(80, 38)).collect();
        let indices = (0..40).chain(0..40).collect();
        let matrix = Matrix::Sparse { cols: 40, offsets, indices, values: random.floats(80) };
        let bias = random.floats(40);
        b.linear(&[product], vec![matrix], Some(bias), hidden, random);
        check::<E>(&b.finish(), 3);
    }
}

/// The suite for one engine.
macro_rules! suite {
    ($name:ident, $engine:ty) => {
        mod $name {
            use super::*;

            #[test]
            fn random_programs() {
                super::random_programs::<$engine>();
            }

            #[test]
            fn bootstraps() {
                super::bootstraps::<$engine>();
            }

            #[test]
            fn several_ciphertexts() {
                super::several_ciphertexts::<$engine>();
            }

            #[test]
            fn products_and_constants() {
                super::products_and_constants::<$engine>();
            }
        }
    };
}

suite!(clear, Exact);
suite!(clear_with_noise, Noisy);
suite!(ckks, Encrypted);

/// The suite above ran with the fastest kernels that the processor has.
#[test]
fn ckks_with_every_kernel_set() {
    for kernels in KernelSet::ALL.into_iter().filter(|&kernels| kernels_available(kernels)) {
        let mut suite = Command::new(std::env::current_exe().unwrap());
        let output = suite.arg("engines::ckks::").env("PIC_KERNELS", kernels.to_string()).output();
        let output = output.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{kernels}: {printed}");
        assert!(printed.contains("4 passed"), "{kernels}: {printed}");
    }
}
