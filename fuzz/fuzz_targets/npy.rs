//! Arrays of numpy, which the command reads.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/cli/array.rs"]
#[allow(dead_code)]
mod array;
#[path = "../../src/cli/memory.rs"]
#[allow(dead_code)]
mod memory;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(array) = array::Array::decode(bytes) {
        assert_eq!(array.shape.iter().product::<usize>(), array.into_reals().len());
    }
});
