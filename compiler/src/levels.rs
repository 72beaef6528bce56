//! Levels of the values of a network, given which values are bootstrapped.

use pic_ckks_model::chebyshev::absorbing_depth;
use pic_ir::activations::Activations;
use pic_ir::network::{Network, Op};

/// Levels of a node's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// Level at which the value is computed.
    pub computed: usize,
    /// Level at which users read the value: higher if it is bootstrapped.
    pub used: usize,
}

/// Lowest possible levels of each node's value, by node index, with the output at level 0.
pub fn levels(network: &Network, activations: &Activations, bootstrapped: &[bool]) -> Vec<Levels> {
    let mut depths = Vec::new();
    let mut layers = activations.layers.iter();
    for node in network.graph.node_weights() {
        depths.push(match node.op {
            Op::Input => 0,
            Op::Linear { .. } | Op::Product => 1,
            Op::Activation(_) => {
                let layer = layers.next().expect("activations fit the network");
                absorbing_depth(&layer.coefficients) as usize
            }
        });
    }
    let mut levels = vec![Levels::default(); depths.len()];
    for index in network.graph.node_indices().rev() {
        let own = &mut levels[index.index()];
        own.computed = if bootstrapped[index.index()] { 0 } else { own.used };
        let needed = own.computed + depths[index.index()];
        for operand in network.operands(index) {
            let used = &mut levels[operand.index()].used;
            *used = needed.max(*used);
        }
    }
    levels
}
