//! Rewrites of a network that keep its meaning and leave it in the form that the later passes
//! expect: one linear node between any two nonlinear ones where that is affordable.
//!
//! Each pass is a plain function from a network to a network. Nothing is approximated here:
//! outputs agree with those of the imported network up to the rounding of f32 constants.

pub(crate) mod eliminate_dead;
mod equalize;
pub(crate) mod fuse_activations;
pub(crate) mod fuse_linear;
mod isolate;
mod linearize;
mod matrices;
mod strip_final;

pub use equalize::equalize;
pub use isolate::isolate;
pub use linearize::linearize;
pub use strip_final::strip_final;

use pic_ir::network::Network;

/// The canonical form of a network.
///
/// Afterwards no linear node only copies its operand, adjacent linear nodes that could be composed
/// cheaply are one node, each with its operands distinct where their matrices could be added, and
/// activations that exporters wrote as primitives are single nodes.
pub fn canonicalize(network: &Network) -> Network {
    let recognised = checked(fuse_activations::fuse_activations(network));
    let fused = checked(fuse_linear::fuse_linear(&recognised));
    // Each pass can bring together nodes for the other, or for itself.
    match fused.graph.node_count() < network.graph.node_count() {
        true => canonicalize(&fused),
        false => fused,
    }
}

fn checked(network: Network) -> Network {
    debug_assert_eq!(network.verify(), Ok(()));
    network
}
