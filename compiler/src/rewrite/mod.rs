//! Rewrites of a network that keep its meaning and leave it in the form that the later passes
//! expect: one linear node between any two nonlinear ones where that is affordable.
//!
//! Each pass is a plain function from a network to a network. Nothing is approximated here:
//! outputs agree with those of the imported network up to the rounding of f32 constants.

pub(crate) mod activations;
pub(crate) mod compose;
mod matrices;
mod rescale;
pub(crate) mod sweep;

pub use rescale::rescale;

use pic_ir::network::Network;

/// The canonical form of a network.
///
/// Afterwards no linear node only copies its operand, adjacent linear nodes that could be composed
/// cheaply are one node, each with its operands distinct where their matrices could be added, and
/// activations that exporters wrote as primitives are single nodes.
pub fn simplify(network: &Network) -> Network {
    let recognised = checked(activations::recognise(network));
    let composed = checked(compose::compose(&recognised));
    // Each pass can bring together nodes for the other, or for itself.
    match composed.graph.node_count() < network.graph.node_count() {
        true => simplify(&composed),
        false => composed,
    }
}

fn checked(network: Network) -> Network {
    debug_assert_eq!(network.verify(), Ok(()));
    network
}
