//! Damaged ONNX files: refused or imported, in a process with little address space, so that an allocation that a file
//! talks the importer into is an abort. `PIC_TEST_MUTATIONS` sets how many damages are tried.

use std::path::Path;
use std::process::Command;

use pic_compiler::frontend;

/// Set in the child process only.
const CHILD: &str = "PIC_TEST_MUTATIONS_CHILD";

/// Address space of the child, in KiB: a hundred times what these models need.
const ADDRESS_SPACE: u64 = 3 << 20;

/// A generator of numbers that is the same everywhere (SplitMix64).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.bits() as u8,
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)],
            3 => bytes.truncate(at),
            4 => drop(bytes.remove(at)),
            // The largest numbers of a varint, which extents and lengths are.
            5 => drop(bytes.splice(at..=at, [0xFF, 0xFF, 0xFF, 0xFF, 0x07])),
            _ => {
                let end = (at + 1 + random.below(32)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
        }
    }
}

#[test]
fn damaged_models_harm_nobody() {
    let cases = std::env::var("PIC_TEST_MUTATIONS").map_or(2000, |count| count.parse().unwrap());
    if std::env::var_os(CHILD).is_none() {
        let program = std::env::current_exe().unwrap();
        let command = format!(
            "ulimit -v {ADDRESS_SPACE} && exec '{}' --exact --nocapture damaged_models_harm_nobody",
            program.display()
        );
        let output = Command::new("sh").args(["-c", &command]).env(CHILD, "1").output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(output.status.success(), "{}\n{printed}", output.status);
        println!("{printed}");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
    paths.sort();
    let models: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let random = &mut Random(1);
    let mut imported = 0;
    // A panic inside the ONNX library is an error of ours, and told on stderr by the hook.
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..cases {
        let mut bytes = models[random.below(models.len())].clone();
        mutate(&mut bytes, random);
        let result = std::panic::catch_unwind(|| frontend::import(&bytes));
        match result {
            Ok(Ok(import)) => {
                import.network.verify().unwrap();
                let outputs = &import.network.graph[import.network.output];
                import.postprocessing.verify(&outputs.shape).unwrap();
                imported += 1;
            }
            Ok(Err(error)) => drop(error.to_string()),
            Err(_) => {
                let path = std::env::temp_dir().join("panics.onnx");
                std::fs::write(&path, &bytes).unwrap();
                println!("the model in {} panics", path.display());
                std::process::exit(1);
            }
        }
    }
    println!("{cases} damaged models, {imported} of them imported");
}
