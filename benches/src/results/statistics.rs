//! Minimum, median, maximum, and ratios between rounds.

/// What is shown of one peer's rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The smallest.
    pub min: f64,
    /// The one in the middle, or what lies between the two that are.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// `None` for no values.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self {
            min,
            median: f64::midpoint(lower, upper),
            max,
        })
    }
}

/// The median of the ratios of values from the same round: what the machine did in between cancels out.
#[must_use]
pub fn ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = ours
        .iter()
        .zip(theirs)
        .filter(|(_, theirs)| **theirs > 0.0)
        .map(|(ours, theirs)| ours / theirs)
        .collect();
    Summary::of(&ratios).map(|summary| summary.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(Summary::of(&[]), None);
        let odd = Summary::of(&[3.0, 1.0, 9.0]).unwrap();
        assert_eq!((odd.min, odd.median, odd.max), (1.0, 3.0, 9.0));
        assert_eq!(Summary::of(&[4.0, 1.0, 2.0, 9.0]).unwrap().median, 3.0);
    }

    #[test]
    fn a_machine_that_gets_slower_does_not_change_the_ratio() {
        assert_eq!(ratio(&[1.0, 10.0, 100.0], &[2.0, 20.0, 200.0]), Some(0.5));
        assert_eq!(ratio(&[1.0, 1.0], &[0.0, 4.0]), Some(0.25));
        assert_eq!(ratio(&[], &[]), None);
    }
}
