//! Data types of the private inference compiler: network, profile, activations, plan, program.
