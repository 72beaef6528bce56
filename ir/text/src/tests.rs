//! Round trips of random networks, damaged texts, and what errors say.

use pic_ir::activations::{Activations, Approximation};
use pic_ir::function::Function;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::{ParseError, activations, network, random};

/// Constants at the ends of f32, and some that are not.
const CONSTANTS: [f32; 10] =
    [0.0, -0.0, 1.0, 0.1, -2.5, 1e-5, 16777217.0, f32::MAX, f32::MIN_POSITIVE, 1e-45];

/// What may get into a text by mistake.
const DAMAGE: [&str; 12] =
    ["(", ")", "[", "}", "\"", "\\", "%", ";", "·", "99999999999", "\u{202e}", "conv(2→2"];

proptest! {
    #[test]
    fn a_network_is_what_its_complete_text_says(seed: u64, any in prop::num::f32::NORMAL) {
        let original = random::network(seed, &[&CONSTANTS[..], &[any]].concat());
        prop_assert_eq!(original.verify(), Ok(()));
        let text = format!("{original:#}");
        let read = network(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        // Bytes tell −0 from 0.
        let bytes = |network| postcard::to_stdvec(network).unwrap();
        prop_assert_eq!(bytes(&read), bytes(&original), "{}", text);
    }

    #[test]
    fn activations_are_what_their_complete_text_says(
        layers in prop::collection::vec((any::<String>(), any::<[f64; 5]>(), any::<Vec<f64>>()), 0..4),
    ) {
        let layer = |(name, numbers, coefficients): (String, [f64; 5], Vec<f64>)| {
            let [center, half_width, stretch, error, loss] = numbers;
            let function = Function::Clip { min: -1.5, max: f32::INFINITY };
            Approximation { name, function, center, half_width, stretch, coefficients, error, loss }
        };
        let original = Activations { layers: layers.into_iter().map(layer).collect() };
        let text = format!("{original:#}");
        prop_assert_eq!(activations(&text), Ok(original), "{}", text);
    }

    #[test]
    fn damaged_texts_are_refused_or_read_without_a_panic(
        seed: u64,
        damages in prop::collection::vec((any::<Index>(), 0..30usize, any::<Index>()), 1..4),
    ) {
        let text = format!("{:#}", random::network(seed, &CONSTANTS));
        let mut text: Vec<char> = text.chars().collect();
        for (at, removed, kind) in damages {
            let at = at.index(text.len());
            let end = text.len().min(at + removed);
            // Nothing, the same again, or something else in place of what is removed.
            let inserted = match kind.index(DAMAGE.len() + 2) {
                0 => vec![],
                1 => text[at..end].repeat(2),
                kind => DAMAGE[kind - 2].chars().collect(),
            };
            text.splice(at..end, inserted);
        }
        if let Ok(read) = network(&text.into_iter().collect::<String>()) {
            // The verifier takes whatever the reader does.
            _ = read.verify();
        }
    }
}

#[test]
fn every_prefix_of_a_text_is_an_error() {
    let text = format!("{:#}", random::network(7, &CONSTANTS));
    let end = text.trim_end().rfind('%').unwrap();
    for length in (0..=end).filter(|&length| text.is_char_boundary(length)) {
        assert!(network(&text[..length]).is_err(), "{}", &text[..length]);
    }
}

#[test]
fn errors_say_where_and_what() {
    let error = |text: &str| network(text).unwrap_err().to_string();
    let with_matrix = |matrix: &str| {
        error(&format!("%0: [1] = input ; \"x\"\n%1: [1] = linear {matrix}·%0 ; \"y\""))
    };
    let expected = [
        (error(""), "line 1, column 1: expected `%0` or `output`, found the end"),
        (error("%1: [1]"), "line 1, column 1: expected `%0` or `output`, found `%1`"),
        (
            error("// größe\n%0: [1] = softmax ; \"x\""),
            "line 2, column 11: expected `input`, `linear`, `product` or a function, found `softmax`",
        ),
        (
            error("%0: [1] = relu %1 ; \"x\"\noutput %0"),
            "line 1, column 16: expected a node of the network, found `%1`",
        ),
        (
            error("%0: [1, 18446744073709551616] = input"),
            "line 1, column 9: expected an unsigned integer of 64 bits, found `18446744073709551616`",
        ),
        (error("%0: [1] = clip(0) ; \"x\""), "line 1, column 15: expected 2 parameters, found 1"),
        (
            error("%0: [1] = input ; \"größe\\q\""),
            "line 1, column 25: expected an escape sequence, found `\\q\"`",
        ),
        (
            error("%0: [1] = input ; \"x"),
            "line 1, column 21: expected the end of a name, `\"`, found the end",
        ),
        (
            error("%0: [1] = input ; \"x\"\noutput %0 %1"),
            "line 2, column 11: expected the end of the text, found `%1`",
        ),
        (
            activations("\"a\": relu ≈ [0.5, 0.5] on 0 + 1").unwrap_err().to_string(),
            "line 1, column 29: expected `±`, found `+`",
        ),
        (with_matrix("diagonal[1.0, x]"), "line 2, column 32: expected a number, found `x`"),
        (with_matrix("gather(2x1)[0]"), "line 2, column 29: expected 2 rows, found 1"),
        (
            with_matrix(&"(".repeat(1 << 20)),
            "line 2, column 26: expected products nested at most 8 deep, found `(`",
        ),
    ];
    for (found, expected) in expected {
        assert_eq!(found, expected);
    }
}

#[test]
fn what_a_text_says_is_in_the_error_escaped() {
    let error = network("%0: [1] = input ; \u{1b}[2J").unwrap_err();
    assert_eq!(
        error,
        ParseError {
            line: 1,
            column: 19,
            expected: "a name in double quotes".into(),
            found: "`\u{1b}`".into(),
        }
    );
    assert!(!error.to_string().contains('\u{1b}'));
}

/// Functions that random networks do not have, because they have no value for some numbers or overflow.
#[test]
fn functions_with_poles_and_ends_are_read_back() {
    for function in
        ["exp", "log", "power(-0.5)", "tan", "asin", "acos", "sinh", "cosh", "acosh", "atanh"]
    {
        let text = format!("%0: [2] = input ; \"x\"\n%1: [2] = {function} %0 ; \"y\"\noutput %1\n");
        assert_eq!(format!("{:#}", network(&text).unwrap()), text);
    }
}
