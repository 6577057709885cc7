//! What a set of packet numbers costs: in order, and under heavy reordering.
//!
//! `cargo bench -p toom-core --bench range_set`

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use toom_core::peer::RangeSet;

/// As many ranges as a receiver remembers, and as many gaps.
const NUMBERS: u64 = 8_192;

/// In what order numbers arrive.
fn orders() -> [(&'static str, Vec<u64>); 4] {
    let even = (0..NUMBERS).step_by(2);
    let odd = (1..NUMBERS).step_by(2);
    // 61 is odd, so each number comes once.
    let scattered = (0..NUMBERS).map(|number| number * 61 % NUMBERS);
    [
        ("in order", (0..NUMBERS).collect()),
        ("backwards", (0..NUMBERS).rev().collect()),
        ("every other first", even.chain(odd).collect()),
        ("scattered", scattered.collect()),
    ]
}

fn filled(order: &[u64]) -> RangeSet {
    let mut set = RangeSet::new();
    order.iter().for_each(|number| set.insert(*number..number + 1));
    set
}

fn insert(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("range set: insert");
    group.throughput(Throughput::Elements(NUMBERS));
    for (name, order) in orders() {
        assert_eq!((filled(&order).range_count(), filled(&order).total()), (1, NUMBERS));
        group.bench_function(name, |bencher| bencher.iter(|| filled(black_box(&order))));
    }
}

fn look_and_take(criterion: &mut Criterion) {
    let holes: Vec<u64> = (0..NUMBERS).step_by(2).collect();
    let set = filled(&holes);
    let mut group = criterion.benchmark_group("range set: of 4,096 ranges");
    group.throughput(Throughput::Elements(NUMBERS / 2));
    group.bench_function("contains", |bencher| {
        bencher.iter(|| (0..NUMBERS / 2).filter(|number| set.contains(black_box(*number))).count());
    });
    group.bench_function("iterate", |bencher| bencher.iter(|| black_box(&set).iter().rev().count()));
    group.bench_function("take the first", |bencher| {
        let take_all = |mut set: RangeSet| while black_box(set.take_first(1)).is_some() {};
        bencher.iter_batched(|| set.clone(), take_all, BatchSize::SmallInput);
    });
}

criterion_group!(benches, insert, look_and_take);
criterion_main!(benches);
