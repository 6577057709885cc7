//! How fast conferences of ten clients are: always the same ones, so that the figure can be compared.

use super::plan::Plan;

/// How many clients there are.
const CLIENTS: usize = 10;
/// How many such conferences there are: enough that no single one decides.
pub const RUNS: u64 = 16;

/// A conference of ten people, each of them with a client.
pub fn plan(seed: u64) -> Plan {
    Plan::of(seed, CLIENTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_people_are_there_and_others_are_drawn_as_ever() {
        for seed in 0..RUNS {
            assert_eq!(plan(seed).people.len(), CLIENTS);
            let drawn = Plan::from_seed(seed);
            assert_eq!(drawn, Plan::of(seed, drawn.people.len()));
        }
    }
}
