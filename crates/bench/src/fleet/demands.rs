//! What is promised of a large fleet, and whether the figures keep it. Nothing is rounded in the promise's favour, and what is
//! broken is named one by one.

use super::figures::Figure;
use super::report::number;

/// What every figure of ten times as many instances may be at most.
const FACTOR: f64 = 12.0;

/// One promise.
#[derive(Debug)]
pub(super) struct Demand {
    /// The figure and its part.
    pub(super) of: String,
    pub(super) found: String,
    pub(super) demanded: String,
    pub(super) is_kept: bool,
}

/// The promises of the largest fleet, those about its growth last.
pub(super) fn of(runs: &[(u32, Vec<Figure>)]) -> Vec<Demand> {
    let (Some((small, few)), Some((large, many))) = (runs.first(), runs.last()) else { return Vec::new() };
    let mut all: Vec<Demand> = many.iter().filter_map(bound).collect();
    if small != large {
        let most = f64::from(*large) / f64::from(*small) / 10.0 * FACTOR;
        all.extend(growth(&factors(few, many), most, *small, *large));
    }
    all
}

fn bound(figure: &Figure) -> Option<Demand> {
    let most = figure.demanded?;
    Some(Demand {
        of: format!("{}: {}", figure.part, figure.name),
        found: with_unit(figure.value, figure.unit),
        demanded: format!("below {}", with_unit(most, figure.unit)),
        is_kept: figure.value < most,
    })
}

/// How many times the small fleet's each figure of the large one is. Rates are left out, as more is better, and so is what
/// the small fleet did not have at all.
fn factors<'a>(few: &[Figure], many: &'a [Figure]) -> Vec<(&'a Figure, f64)> {
    let factor = |figure: &'a Figure| {
        let before = few.iter().find(|one| one.part == figure.part && one.name == figure.name)?;
        (figure.unit != "/s" && before.value > 1e-9).then_some((figure, figure.value / before.value))
    };
    many.iter().filter_map(factor).collect()
}

fn growth(factors: &[(&Figure, f64)], most: f64, small: u32, large: u32) -> Vec<Demand> {
    let broken: Vec<_> = factors.iter().filter(|(_, factor)| *factor > most).collect();
    let demand = |of: String, factor: f64, is_kept: bool| Demand {
        of,
        found: format!("{} times", number(factor)),
        demanded: format!("at most {} times", number(most)),
        is_kept,
    };
    let others = factors.iter().filter(|(_, factor)| *factor <= most);
    let largest = others.map(|(_, factor)| *factor).fold(0.0, f64::max);
    let kept = factors.len().saturating_sub(broken.len());
    let all = format!("{kept} of {} figures of {large} instances, by those of {small}", factors.len());
    std::iter::once(demand(all, largest, true))
        .chain(
            broken
                .iter()
                .map(|(figure, factor)| demand(format!("{}: {}", figure.part, figure.name), *factor, false)),
        )
        .collect()
}

fn with_unit(value: f64, unit: &str) -> String {
    format!("{} {unit}", number(value)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, unit: &'static str, value: f64, demanded: Option<f64>) -> Figure {
        Figure { part: 'a', name: name.to_owned(), unit, value, demanded }
    }

    #[test]
    fn what_is_broken_is_named_and_the_rest_is_summed_up() {
        let few = vec![figure("lag", "ms", 10.0, Some(100.0)), figure("rate", "/s", 1.0, None)];
        let many = vec![figure("lag", "ms", 130.0, Some(100.0)), figure("rate", "/s", 90.0, None)];
        let found = of(&[(1_000, few), (10_000, many)]);
        let verdicts: Vec<_> = found.iter().map(|one| (one.of.as_str(), one.is_kept)).collect();
        let sum = "0 of 1 figures of 10000 instances, by those of 1000";
        assert_eq!(verdicts, [("a: lag", false), (sum, true), ("a: lag", false)]);
    }

    #[test]
    fn one_fleet_alone_has_no_growth() {
        let found = of(&[(1_000, vec![figure("lag", "ms", 99.0, Some(100.0))])]);
        assert_eq!(found.len(), 1);
        assert!(found[0].is_kept);
        assert_eq!((found[0].found.as_str(), found[0].demanded.as_str()), ("99.0 ms", "below 100 ms"));
    }
}
