//! Arrays of numpy, which the command reads.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/cli/array.rs"]
#[expect(dead_code, reason = "of the command's module, decoding alone is fuzzed")]
mod array;
#[path = "../../src/cli/memory.rs"]
#[expect(dead_code, reason = "arrays ask for available memory alone")]
mod memory;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(array) = array::Array::decode(bytes) {
        assert_eq!(array.shape.iter().product::<usize>(), array.into_reals().len());
    }
});
