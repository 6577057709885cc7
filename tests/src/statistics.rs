//! The statistics of two samples of times: are they from the same distribution, and what difference would have been
//! found?

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How often samples are drawn again from a sample.
const RESAMPLES: usize = 2_000;
/// How often for each difference whose chance of being found is asked.
const RESAMPLES_FOR_POWER: usize = 200;

/// The middle value; the mean of the two in the middle if there are two.
pub fn median(sample: &[f64]) -> f64 {
    let sorted = sorted(sample);
    match (sorted.get(sorted.len().wrapping_sub(1) / 2), sorted.get(sorted.len() / 2)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// The mean.
pub fn mean(sample: &[f64]) -> f64 {
    sample.iter().sum::<f64>() / sample.len() as f64
}

/// The Mann-Whitney U test with the normal approximation and its correction for ties: the probability of samples at
/// least as different, if both come from the same distribution. Two-sided.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = a.iter().map(|x| (*x, true)).chain(b.iter().map(|x| (*x, false))).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut ranks_of_a, mut ties, mut start) = (0.0, 0.0, 0);
    for group in all.chunk_by(|x, y| x.0 == y.0) {
        let size = group.len() as f64;
        let rank = start as f64 + (size + 1.0) / 2.0;
        ranks_of_a += rank * group.iter().filter(|(_, is_a)| *is_a).count() as f64;
        ties += size * size * size - size;
        start += group.len();
    }
    let (n, m) = (a.len() as f64, b.len() as f64);
    let u = ranks_of_a - n * (n + 1.0) / 2.0;
    let variance = n * m / 12.0 * ((n + m + 1.0) - ties / ((n + m) * (n + m - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let z = (u - n * m / 2.0).abs() / variance.sqrt();
    erfc(z / std::f64::consts::SQRT_2)
}

/// The 95 % interval of the difference of a `figure` of `a` and of `b`, by the bootstrap.
pub fn interval(a: &[f64], b: &[f64], figure: impl Fn(&[f64]) -> f64, seed: u64) -> (f64, f64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut differences: Vec<f64> = (0..RESAMPLES)
        .map(|_| figure(&resample(a, a.len(), &mut random)) - figure(&resample(b, b.len(), &mut random)))
        .collect();
    differences.sort_by(f64::total_cmp);
    (differences[RESAMPLES * 25 / 1_000], differences[RESAMPLES * 975 / 1_000])
}

/// The smallest shift between two samples such as these that [`mann_whitney`] finds with p < 0.05 in 80 % of cases, by
/// drawing samples from both together and shifting one of them.
pub fn detectable_shift(a: &[f64], b: &[f64], seed: u64) -> f64 {
    // What differs between the two is not to count as spread.
    let (of_a, of_b) = (median(a), median(b));
    let all: Vec<f64> = a.iter().map(|x| x - of_a).chain(b.iter().map(|x| x - of_b)).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut is_found = |shift: f64| {
        let found = (0..RESAMPLES_FOR_POWER).filter(|_| {
            let shifted: Vec<f64> = resample(&all, a.len(), &mut random).into_iter().map(|x| x + shift).collect();
            mann_whitney(&shifted, &resample(&all, b.len(), &mut random)) < 0.05
        });
        found.count() * 100 >= RESAMPLES_FOR_POWER * 80
    };
    let sorted = sorted(&all);
    let (mut low, mut high) = (0.0, sorted.last().copied().unwrap_or(0.0) - sorted.first().copied().unwrap_or(0.0));
    for _ in 0..20 {
        let middle = f64::midpoint(low, high);
        if is_found(middle) { high = middle } else { low = middle }
    }
    high
}

fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn resample(sample: &[f64], count: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
    (0..count).map(|_| sample[(random.next_u64() % sample.len() as u64) as usize]).collect()
}

/// The complementary error function for x >= 0, within 1.5e-7 (Abramowitz and Stegun, formula 7.1.26).
fn erfc(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let sum = ((((1.061_405_429 * t - 1.453_152_027) * t + 1.421_413_741) * t - 0.284_496_736) * t + 0.254_829_592) * t;
    sum * (-x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: u64, shift: f64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // The sum of some uniform numbers is nearly normal; its standard deviation is 1.
        let mut one = || (0..12).map(|_| random.next_u64() as f64 / u64::MAX as f64).sum::<f64>() - 6.0;
        (0..count).map(|_| one() + shift).collect()
    }

    #[test]
    fn middles_are_found() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 3.0, 2.0]), mean(&[1.0, 2.0, 6.0])), (2.0, 2.5, 3.0));
    }

    #[test]
    fn the_rank_test_says_what_was_worked_out_by_hand() {
        // Of the 25 pairs 7 have the larger value in the first: U = 7, its mean 12.5 and variance 5 * 5 * 11 / 12.
        let p = mann_whitney(&[1.1, 2.2, 3.3, 4.4, 5.5], &[2.1, 3.2, 6.3, 7.4, 8.5]);
        assert!((p - 0.250_592).abs() < 1e-4, "{p}");
        assert!((mann_whitney(&[1.0; 9], &[1.0; 9]) - 1.0).abs() < 1e-6);
        assert!((erfc(1.0) - 0.157_299_2).abs() < 2e-7 && (erfc(0.0) - 1.0).abs() < 2e-7);
    }

    #[test]
    fn a_difference_is_found_and_none_is_not() {
        let (a, same, other) = (noise(1_000, 1, 0.0), noise(1_000, 2, 0.0), noise(1_000, 3, 0.3));
        assert!(mann_whitney(&a, &same) > 0.05 && mann_whitney(&a, &other) < 1e-6);
        let (low, high) = interval(&other, &a, mean, 7);
        assert!(low < 0.3 && 0.3 < high && low > 0.1 && high < 0.5, "{low} {high}");
        let (low, high) = interval(&same, &a, median, 7);
        assert!(low < 0.0 && 0.0 < high, "{low} {high}");
    }

    #[test]
    fn the_shift_that_would_be_found_is_that_of_the_textbook() {
        // For the normal distribution (1.96 + 0.84) * sqrt(2 / n) / sqrt(3 / pi): the rank test needs a little more
        // than the t test.
        let shift = detectable_shift(&noise(500, 1, 0.0), &noise(500, 2, 5.0), 3);
        let expected = 2.8 * (2.0_f64 / 500.0).sqrt() / (3.0 / std::f64::consts::PI).sqrt();
        assert!((shift / expected - 1.0).abs() < 0.15, "{shift} {expected}");
    }
}
