//! Reader of the complete text forms of networks and activations, the alternate forms (`{:#}`) of
//! their `Display`.
//!
//! It is for tests and tools: clients and servers read serialised forms and do not link it. The
//! result is what the text says and is not verified ([`Network::verify`], [`Activations::verify`]), so that texts can show
//! what verifiers refuse, too.
//!
//! # Grammar
//! ```text
//! network   = { node } "output" operand
//! node      = operand ":" shape "=" operation ";" name [ "from" name { "," name } ]
//! operation = "input" { operand } | "product" { operand } | function { operand }
//!           | "linear" { matrix "·" operand } [ "+" "bias" reals ]
//! function  = "relu" | "leaky_relu" "(" real ")" | …      (names of `Function::name`)
//! matrix    = "identity" "(" len ")" | "scalar" "(" len ")" "[" real "]"
//!           | "diagonal" reals
//!           | "gather" "(" rows "x" cols ")" "[" source { "," source } "]"
//!           | "dense" "(" rows "x" cols [ "," "outer" n "," "inner" n ] ")" reals
//!           | "conv" "(" in "→" out { "," axis } [ "," "groups" n ] ")" reals
//!           | "sparse" "(" rows "x" cols ")" "[" row { "," row } "]"
//!           | "(" matrix { "·" matrix } ")"
//! axis      = in "→" out "kernel" n [ "stride" n ] [ "dilation" n ] [ "pad" n ]
//! source    = index | "_"                                 ("_" is a zero)
//! row       = "{" [ column ":" real { "," column ":" real } ] "}"
//! operand   = "%" index                                   (nodes are numbered from 0, in order)
//!
//! activations = { name ":" function "≈" reals "on" center "±" half_width
//!                 "stretch" real "error" real "loss" real }
//! ```
//! Names are string literals in double quotes with Rust's escapes. Lists may be empty. White space
//! between tokens, line breaks included, means nothing, and `//` begins a comment that ends with
//! the line.
//!
//! # Example
//! ```
//! let text = r#"
//!     %0: [2] = input ; "x"
//!     %1: [1] = linear dense(1x2)[0.5, -1.0]·%0 + bias[0.25] ; "fc" from "fc (Gemm)"
//!     output %1
//! "#;
//! let network = pic_ir_text::network(text)?;
//! network.verify().unwrap();
//! assert_eq!(network.to_string(), "%0: [2] = input ; x\n%1: [1] = linear dense(1x2)·%0 + bias ; fc (output)\n");
//! # Ok::<(), pic_ir_text::ParseError>(())
//! ```

#![forbid(unsafe_code)]

mod activations;
mod cursor;
mod matrix;
mod network;
#[cfg(any(test, feature = "random"))]
pub mod random;
#[cfg(test)]
mod tests;

pub use cursor::ParseError;

use pic_ir::activations::Activations;
use pic_ir::network::Network;

use cursor::Cursor;

/// Reads the complete text form of a network.
///
/// Memory use is at most a fixed multiple of the text's length.
///
/// # Errors
/// If the text does not follow the [grammar](self), or an operand is no node of the network.
pub fn network(text: &str) -> Result<Network, ParseError> {
    let mut cursor = Cursor::new(text);
    let network = network::network(&mut cursor)?;
    cursor.end()?;
    Ok(network)
}

/// Reads the complete text form of activations.
///
/// Memory use is at most a fixed multiple of the text's length.
///
/// # Errors
/// If the text does not follow the [grammar](self).
pub fn activations(text: &str) -> Result<Activations, ParseError> {
    activations::activations(&mut Cursor::new(text))
}
