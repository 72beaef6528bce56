//! Arrays of numpy, alone and in archives, which `pic::data` reads.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/data/array.rs"]
mod array;

fuzz_target!(|bytes: &[u8]| {
    let read = array::Array::read(pic_fuzz::file(bytes), "x", |_| true);
    for array in [array::Array::decode(bytes, |_| true), read].into_iter().flatten() {
        assert_eq!(array.shape.iter().product::<usize>(), array.into_reals().len());
    }
});
