//! The import of ONNX files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pic_compiler::frontend;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(import) = frontend::import(bytes) {
        import.network.verify().unwrap();
    }
});
