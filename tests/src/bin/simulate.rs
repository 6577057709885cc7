//! quick
use toom_tests::simulate::{Plan, run};
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    for seed in a[0]..a[1] {
        let t = std::time::Instant::now();
        let plan = Plan::from_seed(seed);
        let o = run(&plan);
        println!("{seed}: {:?} {} people {} choices, {:?} virtual, {} steps {:?} {}", o.broken, o.people, plan.choices.len(), o.time, o.events, t.elapsed(), &o.digest[..8]);
    }
}
