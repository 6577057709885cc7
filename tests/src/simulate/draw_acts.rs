//! What people may do, drawn: one function for each kind.

use core::time::Duration;

use toom_core::wire::message::HistoryKind;

use super::act::{Act, Beginning, Flooded, Odd, Requested, Since, Whom};
use super::draw::Draw;

/// Draws an act of one kind.
pub type ActDrawer = fn(&mut Draw) -> Act;

/// Every kind, and how often it comes if all kinds are on.
pub const ACTS: &[(u64, ActDrawer)] = &[
    (2, log_in),
    (1, guess),
    (8, |draw| Act::Broadcast(draw.text())),
    (6, |draw| Act::Direct { to: draw.whom(), text: draw.text() }),
    (4, build_room),
    (8, |draw| Act::RoomMessage { room: room(draw), text: draw.text() }),
    (2, |draw| Act::Invite { room: room(draw), user: draw.whom() }),
    (2, |draw| Act::Leave { room: room(draw) }),
    (3, history),
    (1, |_| Act::ActiveUsers),
    (1, |_| Act::Rooms),
    (6, |draw| Act::SendFile { to: draw.whom(), file: draw.file() }),
    (6, |draw| Act::Accept { which: which(draw) }),
    (1, |draw| Act::Reject { which: which(draw) }),
    (1, |draw| Act::Cancel { which: which(draw) }),
    (1, |_| Act::Transfers),
    (1, |_| Act::LogOut),
    (1, |_| Act::Finish),
    (1, |_| Act::HangUp),
    (2, raw),
    (2, |draw| Act::Verify { user: draw.whom(), confirm: draw.chance(0.7) }),
    (1, |_| Act::AddAccount),
    (1, |_| Act::RemoveAccount),
    (1, |_| Act::ChangePassword),
    (1, |draw| Act::Find { mark: draw.text().mark }),
    (2, |draw| Act::Latest { room: draw.pick(&[0, 0, 1, 1, 2, 3, 9]), count: draw.small_or_large(1..=600) as u32 }),
];

fn log_in(draw: &mut Draw) -> Act {
    Act::LogIn { name: draw.whom(), password: draw.typed() }
}

fn guess(draw: &mut Draw) -> Act {
    // Rarely more than the server checks at once.
    let times = if draw.chance(0.003) { 1_100 } else { draw.small_or_large(1..=8) as u16 };
    Act::Guess { name: draw.whom(), password: draw.typed(), times, lasting: draw.time(1, 150_000) }
}

fn room(draw: &mut Draw) -> u32 {
    draw.pick(&[1, 1, 1, 1, 2, 2, 2, 3, 3, 9])
}

fn which(draw: &mut Draw) -> usize {
    draw.within(0..=5) as usize
}

/// A room of some people.
pub fn build_room(draw: &mut Draw) -> Act {
    let users = (0..draw.within(0..=4)).map(|_| if draw.chance(0.2) { draw.whom() } else { member(draw) });
    Act::BuildRoom { users: users.collect() }
}

fn member(draw: &mut Draw) -> Whom {
    Whom::Person(draw.someone())
}

fn history(draw: &mut Draw) -> Act {
    let kind = draw.pick(&[HistoryKind::Broadcast, HistoryKind::Rooms]);
    let since = match draw.within(0..=9) {
        0..=3 => Since::Ever,
        4 => Since::Never,
        _ => Since::Ago(draw.time(0, 600_000)),
    };
    Act::History { kind, since }
}

fn raw(draw: &mut Draw) -> Act {
    let beginning = draw.pick(&[Beginning::Silence, Beginning::Greeting, Beginning::Login]);
    let then = match draw.within(0..=12) {
        0 => Odd::Silence,
        1 => Odd::Garbage { bytes: draw.small_or_large(1..=10_000) as usize },
        2 => Odd::HalfFrame { bytes: draw.within(1..=60) as usize },
        3 => Odd::Trickle { pause: draw.time(0, 2_000) },
        4 => Odd::EndlessFrame,
        5 => Odd::EmptyFrame,
        6 => {
            let count = if draw.chance(0.4) { 300 } else { draw.small_or_large(2..=400) as u16 };
            Odd::Flood { count, of: flooded(draw) }
        }
        _ => Odd::Request(requested(draw)),
    };
    Act::Raw { beginning, then, lasting: draw.time(1, 150_000).max(Duration::from_millis(1)) }
}

fn flooded(draw: &mut Draw) -> Flooded {
    let (mark, to) = (draw.text().mark, draw.whom());
    draw.pick(&[Flooded::ActiveUsers, Flooded::Broadcast { mark }, Flooded::Offer { mark, to }])
}

fn requested(draw: &mut Draw) -> Requested {
    let text = draw.text();
    draw.pick(&[
        Requested::Login,
        Requested::LogOut,
        Requested::EndlessBroadcast,
        Requested::Broadcast(text),
        Requested::StrangeCursor,
        Requested::AnswerOffer,
        Requested::WithdrawOffer,
        Requested::Receipt,
        Requested::CatchUp,
        Requested::CrowdedRoom,
    ])
}
