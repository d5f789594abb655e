//! Repeatable chance: the same seed throws the same numbers, on every machine and with every version of any library.
//! SplitMix64, because it is ten lines; nothing here needs to be unpredictable.

/// A stream of numbers that follows from its seed.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// An independent stream for one party, so that what one does never changes what another throws.
    #[must_use]
    pub fn of(seed: u64, party: u64) -> Self {
        let mut mixed = Self::new(seed ^ party.wrapping_mul(0xA076_1D64_78BD_642F));
        Self::new(mixed.throw())
    }

    /// The next number.
    pub fn throw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` up to and including `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1).max(1);
        low.saturating_add(self.throw() % span)
    }

    /// True in `percent` of a hundred throws.
    pub fn happens(&mut self, percent: u64) -> bool {
        self.throw() % 100 < percent
    }

    /// One of the items; none of nothing.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index =
            usize::try_from(self.throw() % u64::try_from(items.len().max(1)).unwrap_or(1)).unwrap_or(0);
        items.get(index)
    }

    /// Changes the order of the items.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.between(0, u64::try_from(last).unwrap_or(0))).unwrap_or(0);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_numbers() {
        let throws = |seed| (0..5).scan(Dice::new(seed), |dice, _| Some(dice.throw())).collect::<Vec<_>>();
        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
        assert_eq!(throws(0)[0], 0xE220_A839_7B1D_CDAF, "the published first number of SplitMix64");
    }

    #[test]
    fn numbers_stay_between_their_bounds() {
        let mut dice = Dice::of(1, 2);
        let thrown: Vec<u64> = (0..1000).map(|_| dice.between(3, 5)).collect();
        assert!(thrown.iter().all(|number| (3..=5).contains(number)));
        assert!([3, 4, 5].iter().all(|wanted| thrown.contains(wanted)));
    }
}
