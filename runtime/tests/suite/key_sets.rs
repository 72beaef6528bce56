//! Sets of evaluation keys that are not the program's.

use pic_ckks::{Error as CkksError, KeyName, KeySetFault};
use pic_ir::program::{Program, VerifiedProgram};
use pic_runtime::{Artifact, Client, Error, Server};

use crate::support::{bootstrapped_program, changed, random_program};

/// What a server says to keys made for `changed`, relabelled as those of `program`.
fn fault(program: &VerifiedProgram, changed: &VerifiedProgram) -> Option<KeySetFault> {
    use pic_runtime::EvaluationKeyFile;
    use pic_runtime::container::{Container, Kind, Writer};
    use std::io::Write;

    let artifact = Artifact::new(program, None).unwrap();
    let client = Client::generate(&Artifact::new(changed, None).unwrap()).unwrap();
    let keys = client.make_evaluation_keys().unwrap();
    let keys = Container::parse(keys.as_bytes().unwrap().to_vec(), Kind::EvaluationKeys).unwrap();
    let mut writer =
        Writer::new(Vec::new(), Kind::EvaluationKeys, artifact.program_hash()).unwrap();
    for section in ["key", "evaluation keys"] {
        writer.raw(section, |w| w.write_all(keys.raw(section).unwrap())).unwrap();
    }
    let keys = EvaluationKeyFile::from_bytes(writer.finish().unwrap()).unwrap();
    match Server::new(&artifact, keys) {
        Ok(_) => None,
        Err(Error::Ckks(CkksError::KeySet(fault))) => Some(fault),
        Err(other) => panic!("{other}"),
    }
}

/// The same program with more keys than it takes, so that one of the two lacks some.
fn with(program: &VerifiedProgram, change: impl FnOnce(&mut Program)) -> VerifiedProgram {
    changed(program.clone(), change)
}

#[test]
fn only_the_program_s_own_keys_are_taken() {
    use KeySetFault::{Level, Missing, NotAskedFor};

    let program = random_program(6, 2);
    assert_eq!(fault(&program, &program), None);
    let top = program.parameters.max_level();

    let unused = (1..32).find(|r| !program.keys.rotations.contains_key(r)).unwrap();
    let more = with(&program, |p| p.keys.rotate(unused, 1));
    assert_eq!(fault(&program, &more), Some(NotAskedFor(KeyName::Galois(element(unused)))));
    assert_eq!(fault(&more, &program), Some(Missing(KeyName::Rotation(unused))));

    let (&rotation, &level) = program.keys.rotations.iter().find(|(_, l)| **l < top).unwrap();
    let higher = with(&program, |p| p.keys.rotate(rotation, top));
    let key = KeyName::Rotation(rotation);
    assert_eq!(fault(&program, &higher), Some(Level { key, expected: level, found: top }));
    assert_eq!(fault(&higher, &program), Some(Level { key, expected: top, found: level }));

    let higher = with(&program, |p| p.keys.relinearization = Some(top));
    let expected = program.keys.relinearization.unwrap();
    let key = KeyName::Relinearization;
    assert_eq!(fault(&program, &higher), Some(Level { key, expected, found: top }));
}

/// A rotation by r is the Galois element 5^r modulo 2N, N = 2^6.
fn element(rotation: i64) -> u64 {
    (0..rotation).fold(1, |element, _| element * 5 % 128)
}

#[test]
fn keys_of_bootstrapping_belong_to_the_set() {
    let program = bootstrapped_program(8, 7, 1);
    assert_eq!(fault(&program, &program), None);
    // Without bootstrapping, the pair for the sparse secret is one too many.
    let plain = changed(program.clone(), |plain| {
        plain.values.truncate(2);
        plain.output.shape = vec![plain.values[1].layout.len];
        plain.bootstrapping = None;
        plain.keys.encapsulation = None;
    });
    let pair = KeyName::Encapsulation;
    assert_eq!(fault(&plain, &program), Some(KeySetFault::NotAskedFor(pair)));
    assert_eq!(fault(&program, &plain), Some(KeySetFault::Missing(pair)));
}

#[test]
fn sizes_of_keys_are_known_before_they_are_made() {
    for program in [random_program(6, 2), bootstrapped_program(8, 7, 1), random_program(9, 5)] {
        let client = Client::generate(&Artifact::new(&program, None).unwrap()).unwrap();
        let keys = client.make_evaluation_keys().unwrap();
        let (found, said) = (keys.as_bytes().unwrap().len() as u64, client.info().key_sizes());
        // All are held by the server, and a few while they are made, unless there are only a few.
        let threads = rayon::current_num_threads() as u64;
        assert!(said.making_bytes <= threads * said.server_bytes, "{said:?}");
        // Header, table and the identifier of the secret key come on top.
        assert!((1..512).contains(&(found - said.file_bytes)), "{found} bytes, {said:?}");
    }
}
