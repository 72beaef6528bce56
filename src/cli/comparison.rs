//! Text of a comparison with the plain network, for `simulate` and `verify`.

use pic::evaluation::{Comparison, OutOfRange};

use super::Session;
use super::text::{count, or_dash, percent};

/// Lines for people.
pub fn text(comparison: &Comparison) -> String {
    format!(
        "samples      {}\naccuracy     {} (plain network {})\nagreement    {}\nlargest error {:.2e}\n{}",
        comparison.samples,
        or_dash(comparison.accuracy, percent),
        or_dash(comparison.plain_accuracy, percent),
        or_dash(comparison.agreement, percent),
        comparison.max_error,
        told_to_clients(comparison.refused, comparison.unusual, comparison.unreliable)
    )
}

/// Numbers of samples and answers about which clients would be warned.
fn told_to_clients(refused: usize, unusual: usize, unreliable: usize) -> String {
    format!(
        "refused      {} that `pic encrypt` refuses\n\
         unusual      {} that `pic encrypt` warns of\n\
         unreliable   {} that `pic decrypt` marks, counted as wrong\n",
        count(refused, "sample"),
        count(unusual, "sample"),
        count(unreliable, "answer")
    )
}

/// Warns of layers with inputs outside the intervals that calibration suggested.
pub fn warn_out_of_range(layers: &[OutOfRange], session: &Session) {
    for OutOfRange { layer, share, .. } in layers.iter().filter(|l| l.share > 0.0) {
        session.warn(format_args!(
            "{} of the inputs of `{layer}` are outside the range of its polynomial; \
             calibrate with samples like these",
            percent(*share)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_is_not_answers() {
        let text = told_to_clients(0, 2, 1);
        assert!(text.contains("1 answer that `pic decrypt` marks"), "{text}");
        assert!(text.contains("2 samples that `pic encrypt` warns of"), "{text}");
    }
}
