//! The import of ONNX files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pic_compiler::frontend;

fuzz_target!(
    init: {
        // The fuzzer aborts in every panic, also in those of the ONNX library, which the import turns into errors.
        // Without its hook it aborts where a panic leaves the target.
        let _ = std::panic::take_hook();
    },
    |bytes: &[u8]| {
        if let Ok(import) = frontend::import(bytes) {
            import.network.verify().unwrap();
            let outputs = &import.network.graph[import.network.output];
            import.postprocessing.verify(&outputs.shape).unwrap();
        }
    }
);
