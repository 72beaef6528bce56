//! Compiles a network that reads handwritten digits, and classifies three of them as ciphertexts.
//!
//! ```text
//! cargo run --release --example quickstart
//! ```

use std::error::Error;

use pic::data::Samples;
use pic::{Answer, Client, Compiler, Server};

fn main() -> Result<(), Box<dyn Error>> {
    for (digit, class) in classify()?.into_iter().enumerate() {
        println!("digit {digit}: {class:?}");
    }
    Ok(())
}

/// The classes of the first three test images, which show 7, 6 and 3; none for an answer that is not reliable.
pub(crate) fn classify() -> Result<Vec<Option<usize>>, Box<dyn Error>> {
    // The model owner compiles an ONNX file, with samples of what the network will see.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/digits");
    let samples = |name: &str| Samples::read(format!("{folder}/{name}"), &[1, 8, 8]);
    let compiler = Compiler::from_onnx(format!("{folder}/mlp_sigmoid.onnx"))?;
    let artifact = compiler.calibration(samples("calibration_x.npy")?.iter()).compile()?;

    // The client makes keys and encrypts, the server runs the network and learns nothing, the client decrypts.
    let client = Client::generate(&artifact)?;
    let digits = samples("test_x.npy")?.preprocessed(&client.info().preprocessing)?;
    let question = client.encrypt(&digits[..3])?;
    let server = Server::new(&artifact, client.make_evaluation_keys()?)?;
    let answers = client.decrypt(&server.run(&question)?)?;
    Ok(answers.iter().map(Answer::class).collect())
}
