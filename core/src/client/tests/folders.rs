//! Folders, and several files, offered as one.

use super::sending::accepted;
use super::*;
use crate::client::event::Failure;
use crate::client::io::{Destination, Side, SourceId, Start};
use crate::secure::ListingSize;
use crate::transfer::listing::{MAX_CONTENTS, MAX_ENTRIES, MAX_LISTING_BYTES};

const LISTING: ListingSize = ListingSize { bytes: 70, entries: 3 };

fn photos(bytes: Option<u64>, listing: ListingSize) -> OfferContents {
    OfferContents { label: FileLabel::new("photos"), bytes, secret: PeerSecret([5; 32]), listing: Some(listing) }
}

/// Luke offers this.
fn arrives(world: &mut World, contents: &OfferContents) {
    let parties = OfferParties { sender: &name("luke"), receiver: &name("yoda") };
    let sealed = seal_offer(parties, &other_secret(), &device(), contents, [8; 32]).unwrap();
    let wire::Event::Offer { offer, from, device, keys, address, index, .. } = offer(1) else { unreachable!() };
    world.server(wire::Event::Offer { offer, from, device, keys, address, index, sealed });
}

#[test]
fn what_was_found_is_offered_and_started() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    let paths = vec!["photos".into(), "film.mp4".into()];
    world.command(Command::SendFiles { to: "luke".into(), paths: paths.clone() });
    assert_eq!(world.orders(), [Output::OpenSource { source: SourceId(1), paths }]);
    let label = FileLabel::new("photos and 1 more");
    world.input(Input::SourceOpened { source: SourceId(1), label, bytes: 9, listing: Some(LISTING) });
    assert_eq!(world.answer(devices("luke", other_device())), asks_devices("luke", true));
    let RequestBody::Offer { sealed, .. } = world.answer(ReplyBody::Offered { offer: OfferId(1) }) else {
        panic!("no offer");
    };
    let contents = opened_by_luke(&sealed);
    assert_eq!((contents.label.as_str(), contents.bytes), ("photos and 1 more", Some(9)));
    assert_eq!(contents.listing, Some(LISTING));
    world.server(accepted(1));
    let orders = world.orders();
    let [Output::Start(Start { bytes, listing, side: Side::Send { .. }, .. })] = &orders[..] else {
        panic!("{orders:?}");
    };
    assert_eq!((*bytes, *listing), (Some(9), Some(70)));
}

#[test]
fn who_accepts_one_is_told_how_much_it_is_and_gets_it_into_a_folder_only() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    arrives(&mut world, &photos(Some(9), LISTING));
    let events = world.events();
    assert!(matches!(events[..], [Event::Offer { bytes: Some(9), entries: Some(3), .. }]), "{events:?}");
    world.command(Command::AcceptStream { offer: OfferId(1) });
    assert_eq!(world.events(), [Event::Error(Failure::NoStream(FileLabel::new("photos")))]);
    assert_eq!(world.orders(), []);
    world.command(Command::Accept { offer: OfferId(1) });
    let orders = world.orders();
    let [Output::Start(start)] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!((start.bytes, start.listing), (Some(9), Some(70)));
    assert!(matches!(start.side, Side::Receive { into: Destination::File, .. }));
}

#[test]
fn what_cannot_be_is_not_shown() {
    let large = ListingSize { bytes: MAX_LISTING_BYTES as u64, entries: MAX_ENTRIES as u32 };
    for (bytes, listing, is_shown) in [
        (Some(MAX_CONTENTS), large, true),
        (Some(0), ListingSize { bytes: 1, entries: 0 }, true),
        (None, LISTING, false),
        (Some(MAX_CONTENTS + 1), LISTING, false),
        (Some(9), ListingSize { bytes: 0, ..LISTING }, false),
        (Some(9), ListingSize { bytes: large.bytes + 1, ..LISTING }, false),
        (Some(9), ListingSize { entries: large.entries + 1, ..LISTING }, false),
    ] {
        let mut world = World::logged_in(AcceptPolicy::Ask);
        arrives(&mut world, &photos(bytes, listing));
        let shown = world.events();
        assert_eq!(shown.len(), usize::from(is_shown), "{bytes:?} {listing:?}: {shown:?}");
    }
}
