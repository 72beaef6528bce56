//! The loops in double precision with fused multiply-add, bit-equal to the portable ones, for processors
//! with vectors of 256 or 512 bits and no 52-bit integer multiplication.
//!
//! The loops and transforms are written once, over what [`simd`] asks of a vector unit. Every function of
//! [`fma256`] and [`fma512`] must only be called on a processor with its instructions; that is what the
//! `unsafe` at the call in [`super`] vouches for. Lengths are multiples of eight, as all degrees are.

mod arithmetic;
mod avx2;
mod avx512;
#[cfg(test)]
mod emulated;
mod loops;
mod ntt;
mod simd;

pub(super) use loops::weight;
pub(in crate::ring) use ntt::Ntt;

use super::{ConversionTarget, Packing};
use crate::ring::Modulus;

/// All functions for one vector unit.
macro_rules! vector_unit {
    ($name:ident, $simd:ty, $features:literal, [$($feature:tt),*], $document:literal) => {
        #[doc = $document]
        pub(super) mod $name {
            use super::*;
            use super::simd::Simd;

            /// log2 of the smallest degree.
            pub(in crate::ring) const MIN_LOG_DEGREE: u32 = ntt::min_log_degree(<$simd>::LANES);

            /// Returns whether this processor has the instructions.
            pub(in crate::ring::kernels) fn is_available() -> bool {
                true $(&& is_x86_feature_detected!($feature))*
            }

            /// The transform of one prime from a primitive 2N-th root of unity.
            pub(in crate::ring::kernels) fn tables(m: Modulus, log_n: u32, root: u64) -> Ntt {
                Ntt::new(<$simd>::LANES, m, log_n, root)
            }

            vector_unit! { @functions $simd, $features,
                ntt::forward::<_, false> as forward(ntt: &Ntt, limb: &mut [u64]);
                ntt::forward::<_, true> as forward_lazy(ntt: &Ntt, limb: &mut [u64]);
                ntt::inverse as inverse_scaled(
                    ntt: &Ntt, limb: &mut [u64], source: Option<&[u64]>, factor: u64);
                loops::reduce_signed as reduce_signed(m: &Modulus, a: &mut [u64]);
                loops::add as add(m: &Modulus, a: &mut [u64], b: &[u64]);
                loops::sub as sub(m: &Modulus, a: &mut [u64], b: &[u64]);
                loops::neg as neg(m: &Modulus, a: &mut [u64]);
                loops::mul as mul(m: &Modulus, a: &mut [u64], b: &[u64]);
                loops::mul_add as mul_add(m: &Modulus, acc: &mut [u64], a: &[u64], b: &[u64]);
                loops::mul_scalar as mul_scalar(m: &Modulus, a: &mut [u64], s: u64);
                loops::sub_mul_scalar as sub_mul_scalar(
                    m: &Modulus, a: &mut [u64], b: &[u64], s: u64);
                loops::quotient as quotient(
                    quotient: &mut [u64], sources: &[&[u64]], inverses: &[f64]);
                loops::convert as convert(
                    targets: &mut [ConversionTarget<'_>], sources: &[&[u64]]);
                loops::inner_product as inner_product(
                    m: &Modulus, out: (&mut [u64], &mut [u64]), start: usize, packing: Packing,
                    terms: &[(&[u64], &[u64], &[u64])]);
                loops::permute as permute(
                    out: &mut [u64], a: &[u64], blocks: &[u32], lanes: &[[u8; 8]; 8]);
            }
        }
    };
    (@functions $simd:ty, $features:literal,
        $($path:path as $function:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            #[target_feature(enable = $features)]
            pub(in crate::ring::kernels) fn $function($($argument: $type),*) {
                $path(<$simd>::new(), $($argument),*);
            }
        )*
    };
}

vector_unit!(fma256, avx2::Avx2, "avx2,fma", ["avx2", "fma"], "Vectors of four residues.");
vector_unit!(
    fma512,
    avx512::Avx512,
    "avx512f,avx512bw,avx512dq,avx512vl",
    ["avx512f", "avx512bw", "avx512dq", "avx512vl"],
    "Vectors of eight residues."
);
