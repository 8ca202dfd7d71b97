//! Axes of a plot: from a value to its place between 0 and 1, and where the ticks are.
//!
//! Owns the three scales. Ticks are round numbers, few enough to be read on a phone. Pure.

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Equal steps, from the first to the second.
    Linear(f64, f64),
    /// Equal factors, both above zero.
    Log(f64, f64),
}

impl Scale {
    /// From zero to a round number above `max`.
    pub(super) fn from_zero(max: f64) -> Self {
        let max = if max > 0.0 { max } else { 1.0 };
        let step = round_step(max / 4.0);
        Self::Linear(0.0, (max / step).ceil() * step)
    }

    /// From a round number to a round number, around values that are all above zero.
    pub(super) fn logarithmic(min: f64, max: f64) -> Self {
        let low = round_below(min);
        Self::Log(low, round_step(max).max(low * 10.0))
    }

    /// Whether equal steps are equal factors, which a reader must be told.
    pub(super) fn is_logarithmic(self) -> bool {
        matches!(self, Self::Log(..))
    }

    /// 0 at the start of the axis, 1 at its end.
    pub(super) fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear(low, high) => ((value - low) / (high - low)).clamp(0.0, 1.0),
            Self::Log(low, high) => ((value.max(low) / low).ln() / (high / low).ln()).clamp(0.0, 1.0),
        }
    }

    /// About `wanted` round values; on a logarithmic axis 1, 2, 5 of each decade, or of many decades the 1 alone.
    pub(super) fn ticks(self, wanted: usize) -> Vec<f64> {
        match self {
            Self::Linear(low, high) => {
                let step = round_step((high - low) / wanted.max(1) as f64);
                let (first, last) = ((low / step).ceil() as i64, (high / step + 1e-9).floor() as i64);
                (first..=last).map(|count| count as f64 * step).collect()
            }
            Self::Log(low, high) => {
                let rising = std::iter::successors(Some(low), |tick| Some(round_step(tick * 1.5)));
                let within: Vec<f64> = rising.take_while(|tick| *tick <= high * (1.0 + 1e-9)).collect();
                let is_decade = |tick: f64| (tick.log10() - tick.log10().round()).abs() < 1e-9;
                let all = high / low <= 1001.0;
                within.into_iter().filter(|&tick| all || is_decade(tick)).collect()
            }
        }
    }
}

/// The least of 1, 2, 5, 10, … that is not below `least`.
fn round_step(least: f64) -> f64 {
    let decade = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * decade >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * decade
}

/// The greatest of 1, 2, 5, 10, … that is not above `most`.
fn round_below(most: f64) -> f64 {
    let decade = 10f64.powf(most.log10().floor());
    let factor = [5.0, 2.0].into_iter().find(|factor| factor * decade <= most * (1.0 + 1e-9));
    factor.unwrap_or(1.0) * decade
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_axis_ends_at_a_round_number() {
        for (max, end) in [(3.7, 4.0), (100.0, 150.0), (8123.0, 10_000.0), (0.0, 1.5)] {
            let Scale::Linear(low, high) = Scale::from_zero(max) else { unreachable!() };
            assert_eq!(low, 0.0);
            assert!(high >= max && high <= end, "{max}: {high}");
        }
    }

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        assert_eq!(Scale::Linear(0.0, 10.0).ticks(5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(Scale::Linear(0.3, 2.1).ticks(4), [0.5, 1.0, 1.5, 2.0]);
        let rounded = |scale: Scale| scale.ticks(9).iter().map(|tick| tick.round()).collect::<Vec<_>>();
        assert_eq!(rounded(Scale::logarithmic(30.0, 400.0)), [20.0, 50.0, 100.0, 200.0, 500.0]);
        assert_eq!(rounded(Scale::logarithmic(1.0, 40_000.0)), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
    }

    #[test]
    fn places_run_from_zero_to_one() {
        let linear = Scale::Linear(2.0, 4.0);
        assert_eq!([1.0, 2.0, 3.0, 4.0, 9.0].map(|value| linear.place(value)), [0.0, 0.0, 0.5, 1.0, 1.0]);
        let log = Scale::Log(1.0, 100.0);
        assert_eq!([0.0, 1.0, 10.0, 100.0].map(|value| log.place(value)), [0.0, 0.0, 0.5, 1.0]);
    }
}
