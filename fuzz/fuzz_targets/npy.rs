//! Arrays of numpy, alone and in archives, which the command reads.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/cli/array.rs"]
mod array;
#[path = "../../src/cli/file.rs"]
#[expect(dead_code, reason = "arrays open files and do not read them whole")]
mod file;

fuzz_target!(|bytes: &[u8]| {
    let read = array::Array::read(pic_fuzz::file(bytes), "x", |_| true);
    for array in [array::Array::decode(bytes), read].into_iter().flatten() {
        assert_eq!(array.shape.iter().product::<usize>(), array.into_reals().len());
    }
});
