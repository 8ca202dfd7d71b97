//! A median with its range, and a ratio, as text.

use super::summary::{Ratio, Spread};
use crate::report::Unit;

/// `3.640 µs (3.512–3.900)`
pub(super) fn show_spread(spread: Spread, unit: Unit) -> String {
    let (least, most, median) = (unit.show(spread.least), unit.show(spread.most), unit.show(spread.median));
    if least == most {
        return median;
    }
    // The unit stands once, where all have the same.
    let unit_of = |text: &str| text.split_once(' ').map(|(_, unit)| unit.to_owned());
    let is_one = unit_of(&least) == unit_of(&median) && unit_of(&most) == unit_of(&median);
    let bare =
        |text: String| if is_one { text.split(' ').next().unwrap_or_default().to_owned() } else { text };
    format!("{median} ({}–{})", bare(least), bare(most))
}

/// `1.08 × (1.05–1.12) · 1.07 ×`: by round with the range, and of the medians.
pub(super) fn show_both_ratios(ratio: Ratio) -> String {
    let Spread { least, most, .. } = ratio.by_round;
    format!("{} ({least:.2}–{most:.2}) · {:.2} ×", show_ratio(ratio), ratio.of_medians)
}

pub(super) fn show_ratio(ratio: Ratio) -> String {
    format!("{:.2} ×", ratio.by_round.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_written_with_its_range() {
        let spread = |median, least, most| Spread { median, least, most };
        assert_eq!(show_spread(spread(3640.0, 3512.0, 3900.0), Unit::Nanoseconds), "3.640 µs (3.512–3.900)");
        assert_eq!(show_spread(spread(5.0, 5.0, 5.0), Unit::Count), "5");
        assert_eq!(show_spread(spread(1e6, 950_000.0, 1.2e6), Unit::Bytes), "1.00 MB (950.00 kB–1.20 MB)");
        let ratio = Ratio { by_round: spread(1.08, 1.05, 1.123), of_medians: 1.07 };
        assert_eq!(show_both_ratios(ratio), "1.08 × (1.05–1.12) · 1.07 ×");
    }
}
