//! What the world is like, drawn. A network must carry the largest frame within its deadline, and a transfer
//! within the time in which all must converge: slower ones are closed, rightly.

use core::time::Duration;

use toom_core::time::Timestamp;

use super::draw::Draw;
use crate::sim::Options;
use crate::sim::options::{Bursts, LinkOptions, StreamOptions, WorkOptions};

/// A window that lets the largest page of history through within the deadline of a frame at the longest delay below.
const SMALLEST_WINDOW: u64 = 6_000;
/// 1 Jan 2020 to 1 Jan 2030.
const EPOCHS: core::ops::RangeInclusive<u64> = 1_577_836_800_000..=1_893_456_000_000;

/// A world.
pub fn draw_options(draw: &mut Draw, seed: u64) -> Options {
    let calm = Options::calm(seed);
    Options {
        epoch: Timestamp::from_millis(draw.within(EPOCHS) as i64),
        stream: if draw.chance(0.4) { calm.stream } else { draw_stream(draw) },
        link: if draw.chance(0.3) { calm.link } else { draw_link(draw) },
        work: if draw.chance(0.3) { calm.work } else { draw_work(draw) },
        ..calm
    }
}

fn draw_stream(draw: &mut Draw) -> StreamOptions {
    StreamOptions {
        delay: draw.time(0, 200),
        jitter: draw.time(0, 300),
        largest_piece: if draw.chance(0.1) { draw.within(1..=4) } else { draw.small_or_large(20..=8_000) } as usize,
        window: draw.small_or_large(SMALLEST_WINDOW..=256 * 1024) as usize,
        user_timeout: draw.time(15_000, 120_000),
    }
}

/// A link, on which each kind of trouble is on by chance.
pub fn draw_link(draw: &mut Draw) -> LinkOptions {
    let often = |draw: &mut Draw| if draw.chance(0.5) { 0.0 } else { draw.small_or_large(1..=200) as f64 / 1_000.0 };
    let seldom = |draw: &mut Draw| if draw.chance(0.6) { 0.0 } else { draw.small_or_large(1..=50) as f64 / 1_000.0 };
    LinkOptions {
        delay: draw.time(0, 100),
        jitter: if draw.chance(0.5) { Duration::ZERO } else { draw.time(0, 30) },
        loss: often(draw),
        bursts: if draw.chance(0.6) { Bursts::default() } else { draw_bursts(draw) },
        bit_flip: seldom(draw),
        truncation: seldom(draw),
        reorder: often(draw),
        reorder_by: draw.time(0, 50),
        duplicate: often(draw),
        rate: draw.small_or_large(100_000..=20_000_000),
        queue: draw.time(20, 200),
        ..LinkOptions::default()
    }
}

/// Bursts of a few losses up to some dozen.
fn draw_bursts(draw: &mut Draw) -> Bursts {
    Bursts {
        enter: draw.small_or_large(1..=20) as f64 / 1_000.0,
        leave: draw.small_or_large(30..=500) as f64 / 1_000.0,
        loss: draw.pick(&[0.5, 0.9, 1.0]),
    }
}

fn draw_work(draw: &mut Draw) -> WorkOptions {
    WorkOptions {
        commit: draw.time(0, 200),
        query: draw.time(0, 100),
        password: draw.time(0, 400),
        file: draw.time(0, 10),
        early_wakes: draw.pick(&[0.0, 0.0, 0.01, 0.1]),
    }
}
