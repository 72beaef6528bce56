//! A client and a server, as two threads that share nothing but a TCP connection on this machine.
//!
//! The model's owner gives each its part of the artifact. The client sends its evaluation keys and encrypted images, the
//! server sends encrypted answers; every message is a length of four bytes, little-endian, and as many bytes. A real
//! service adds authentication, time limits and one thread for each client.
//!
//! ```text
//! cargo run --release --example client_server
//! ```

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use pic::data::Samples;
use pic::{
    Answer, Artifact, Client, Compiler, EncryptedInput, EncryptedOutput, EvaluationKeyFile, Server,
};

type Failure = Box<dyn Error + Send + Sync>;

/// Longest message that is received, in bytes: a sender does not decide how much memory its receiver takes.
const LONGEST_MESSAGE: u32 = 1 << 30;

fn main() -> Result<(), Failure> {
    println!("classes: {:?}", classify()?);
    Ok(())
}

/// The classes of the first three test images, which show 7, 6 and 3; none for an answer that is not reliable.
pub(crate) fn classify() -> Result<Vec<Option<usize>>, Failure> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/digits");
    let samples = |name: &str| Samples::read(format!("{folder}/{name}"), &[1, 8, 8]);
    let compiler = Compiler::from_onnx(format!("{folder}/mlp_sigmoid.onnx"))?;
    let artifact = compiler.calibration(samples("calibration_x.npy")?.iter()).compile()?;
    let client_part = artifact.client_only()?.as_bytes().to_vec();
    let server_part = artifact.server_only()?.as_bytes().to_vec();

    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || serve(&listener, server_part));
    let answers = ask(address, client_part, &samples("test_x.npy")?)?;
    server.join().expect("the server returns its errors")?;
    Ok(answers.iter().map(Answer::class).collect())
}

/// Answers the question of one client.
fn serve(listener: &TcpListener, server_part: Vec<u8>) -> Result<(), Failure> {
    let artifact = Artifact::from_bytes(server_part)?;
    let (mut connection, _) = listener.accept()?;
    let keys = EvaluationKeyFile::from_bytes(receive(&mut connection)?)?;
    let server = Server::new(&artifact, keys)?;
    let question = EncryptedInput::from_bytes(receive(&mut connection)?)?;
    Ok(send(&mut connection, server.run(&question)?.as_bytes())?)
}

/// Asks a server about the first three images.
fn ask(server: SocketAddr, client_part: Vec<u8>, images: &Samples) -> Result<Vec<Answer>, Failure> {
    let client = Client::generate(&Artifact::from_bytes(client_part)?)?;
    let keys = client.make_evaluation_keys()?;
    let images = images.preprocessed(&client.info().preprocessing)?;
    let question = client.encrypt(&images[..3])?;
    let mut connection = TcpStream::connect(server)?;
    send(&mut connection, keys.as_bytes().expect("keys that were just made are in memory"))?;
    send(&mut connection, question.as_bytes())?;
    let answer = EncryptedOutput::from_bytes(receive(&mut connection)?)?;
    answer.check_question(&question)?;
    Ok(client.decrypt(&answer)?)
}

fn send(connection: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    connection.write_all(&length.to_le_bytes())?;
    connection.write_all(message)
}

fn receive(connection: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > LONGEST_MESSAGE {
        return Err(io::Error::other(format!("a message of {length} bytes is refused")));
    }
    // Grows with what arrives, not with what is announced.
    let mut message = Vec::new();
    connection.take(length.into()).read_to_end(&mut message)?;
    if message.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(message)
}
