//! Keys of people: which are believed, told and refused, and `VERIFY`.

use super::sending::{offering, opened, opened_for_luke, send_file};
use super::*;
use crate::client::event::{Failure, TransferFailure, TransferState};
use crate::client::people::{MAX_KEYS_PER_PERSON, Trust};
use crate::secure::{AccountKeys, SafetyNumber};
use crate::wire::message::Refusal;

/// Another device, of luke's or of somebody who poses as him.
fn third_secret() -> SecretKey {
    SecretKey::new([3; 32])
}

fn luke(keys: &[PublicKey], trust: Trust) -> Person {
    Person { name: name("luke"), keys: keys.to_vec(), trust }
}

fn knowing(accept: AcceptPolicy, person: Person) -> World {
    let mut world = World::new(accept);
    world.input(Input::Connected { server_key: server_key(), people: vec![person] });
    world.command(login());
    world.answer(ReplyBody::Welcome { user: name("yoda"), failed_logins: 0 });
    world.events();
    world
}

fn changed(verified: bool) -> Event {
    Event::PeerKeyChanged { user: name("luke"), key: third_secret().public(), verified }
}

fn shown(world: &mut World) -> (bool, bool) {
    let events = world.events();
    let offers = |event: &Event| if let Event::Offer { held, .. } = event { Some(*held) } else { None };
    (events.contains(&changed(false)), events.iter().find_map(offers).expect("an offer"))
}

fn is_accepted(world: &mut World) -> bool {
    world.bodies().iter().any(|body| matches!(body, RequestBody::AnswerOffer { index: Some(_), .. }))
}

fn is_refused(world: &mut World) -> bool {
    world.bodies().iter().any(|body| matches!(body, RequestBody::AnswerOffer { index: None, .. }))
}

#[test]
fn who_is_met_is_remembered_with_all_listed_keys() {
    let mut world = World::logged_in(AcceptPolicy::All);
    let mut keys = vec![other_device(), third_secret().public()];
    keys.sort();
    let wire::Event::Offer { offer, from, device, address, index, sealed, .. } = offer(1) else { unreachable!() };
    world.server(wire::Event::Offer { offer, from, device, keys: keys.clone(), address, index, sealed });
    assert_eq!(shown(&mut world), (false, false));
    assert_eq!(world.remembered, [luke(&keys, Trust::Met)]);
    assert!(is_accepted(&mut world));
    world.server(offer_by(2, &third_secret()));
    assert_eq!(shown(&mut world), (false, false), "two laptops are no alarm");
    assert!(is_accepted(&mut world));
}

#[test]
fn a_key_that_changed_is_told_and_ends_automatic_accepting_until_somebody_accepts() {
    let mut world = knowing(AcceptPolicy::All, luke(&[other_device()], Trust::Met));
    world.server(offer_by(1, &third_secret()));
    assert_eq!(shown(&mut world), (true, true));
    let both = [other_device(), third_secret().public()];
    assert_eq!(world.remembered, [luke(&both, Trust::Changed)]);
    assert!(!is_accepted(&mut world));
    world.server(offer(2));
    assert_eq!(shown(&mut world), (false, true), "the old key neither, from now on");
    assert!(!is_accepted(&mut world));
    world.remembered.clear();
    world.command(Command::Accept { offer: OfferId(1) });
    assert_eq!(world.remembered, [luke(&both, Trust::Met)]);
    assert!(is_accepted(&mut world));
    // Later sessions know it too.
    let mut world = knowing(AcceptPolicy::All, luke(&both, Trust::Changed));
    world.server(offer(1));
    assert_eq!(shown(&mut world), (false, true));
    assert!(!is_accepted(&mut world));
}

#[test]
fn an_offer_from_another_key_of_who_was_verified_is_refused_and_told() {
    for accept in [AcceptPolicy::All, AcceptPolicy::Ask] {
        let mut world = knowing(accept, luke(&[other_device()], Trust::Verified));
        world.server(offer_by(1, &third_secret()));
        assert_eq!(world.events(), [changed(true)]);
        assert!(is_refused(&mut world));
        assert_eq!((world.orders(), world.remembered.len()), (vec![], 0));
        world.server(offer(2));
        assert_eq!(shown(&mut world), (false, false));
    }
}

#[test]
fn nothing_is_offered_to_another_key_of_who_was_verified() {
    let mut world = knowing(AcceptPolicy::Ask, luke(&[other_device()], Trust::Verified));
    world.command(send_file());
    world.input(opened(1));
    world.orders();
    let key = third_secret().public();
    world.answer(devices("luke", key));
    assert_eq!(world.events(), [Event::Error(Failure::PeerKeyChanged { user: name("luke"), key })]);
    assert_eq!(world.orders(), [Output::CloseSource { source: crate::client::io::SourceId(1) }]);
    assert_eq!(world.requests(), []);
}

#[test]
fn a_file_may_go_to_a_new_key_of_who_was_only_met_and_it_is_told() {
    let mut world = knowing(AcceptPolicy::Ask, luke(&[other_device()], Trust::Met));
    world.command(send_file());
    world.input(opened(1));
    world.answer(devices("luke", third_secret().public()));
    assert_eq!(world.events(), [changed(false)]);
    assert!(matches!(&world.bodies()[..], [RequestBody::Offer { .. }]));
}

#[test]
fn an_acceptance_by_another_device_fails_the_transfer() {
    let (mut world, _) = offering();
    world.orders();
    let (address, device) = (([192, 0, 2, 2], 7000).into(), third_secret().public());
    world.server(wire::Event::OfferAccepted { offer: OfferId(1), address, index: PeerIndex(99), device });
    assert_eq!(world.transfer().state, TransferState::Failed(TransferFailure::KeyChanged));
    assert!(matches!(&world.orders()[..], [Output::CloseSource { .. }]), "and never starts");
}

#[test]
fn an_offer_that_this_device_cannot_open_is_refused_and_shown_to_nobody() {
    let mut world = World::logged_in(AcceptPolicy::All);
    // Sealed by another device than the server says.
    let wire::Event::Offer { offer, from, address, index, sealed, .. } = offer_by(1, &third_secret()) else {
        unreachable!()
    };
    let (device, keys) = (other_device(), vec![other_device()]);
    world.server(wire::Event::Offer { offer, from, device, keys, address, index, sealed });
    assert_eq!((world.events(), world.remembered.len(), world.client.unopened_offers()), (vec![], 0, 1));
    assert!(is_refused(&mut world));
}

#[test]
fn a_receiver_who_has_just_changed_devices_is_offered_once_more() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(send_file());
    opened_for_luke(&mut world, 1);
    let refused = || ReplyBody::Refused(Refusal::DeviceChanged);
    assert!(matches!(world.answer(refused()), RequestBody::Offer { .. }));
    assert_eq!(world.answer(devices("luke", other_device())), asks_devices("luke", true));
    assert!(matches!(world.answer(refused()), RequestBody::Offer { .. }));
    assert_eq!((world.events(), world.requests()), (vec![Event::Error(Failure::DeviceChanged)], vec![]));
}

#[test]
fn who_is_offline_or_oneself_is_offered_nothing() {
    for (user, active, failure) in
        [("luke", None, Failure::UserOffline(vec![name("luke")])), ("yoda", Some(device()), Failure::Oneself)]
    {
        let mut world = World::logged_in(AcceptPolicy::Ask);
        world.command(Command::SendFiles { to: user.into(), paths: vec!["a".into()] });
        world.input(opened(1));
        let keys = vec![if user == "luke" { other_device() } else { device() }];
        world.answer(ReplyBody::Devices(Devices { user: name(user), keys, active }));
        assert_eq!((world.events(), world.requests()), (vec![Event::Error(failure)], vec![]));
    }
}

fn verify(confirm: bool) -> Command {
    Command::Verify { user: "luke".into(), confirm }
}

/// The server tells these keys of luke's, and these of one's own.
fn told(world: &mut World, theirs: &[PublicKey], own: &[PublicKey]) {
    for (user, keys) in [("luke", theirs), ("yoda", own)] {
        let mut keys = keys.to_vec();
        keys.sort();
        let told = ReplyBody::Devices(Devices { user: name(user), keys, active: None });
        assert_eq!(world.answer(told), asks_devices(user, false));
    }
}

fn number(theirs: &[PublicKey], own: &[PublicKey]) -> SafetyNumber {
    let (luke, yoda) = (name("luke"), name("yoda"));
    let (mut theirs, mut own) = (theirs.to_vec(), own.to_vec());
    theirs.sort();
    own.sort();
    SafetyNumber::of(AccountKeys { name: &yoda, keys: &own }, AccountKeys { name: &luke, keys: &theirs })
}

fn safety(theirs: &[PublicKey], own: &[PublicKey], verified: bool) -> Event {
    let (devices, own_devices) = (theirs.len(), own.len());
    Event::SafetyNumber { user: name("luke"), number: number(theirs, own), devices, own_devices, verified }
}

#[test]
fn the_number_is_of_both_people_s_keys_and_confirming_it_pins_theirs() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    let (theirs, own) = ([other_device(), third_secret().public()], [device()]);
    world.command(verify(false));
    told(&mut world, &theirs, &own);
    assert_eq!(world.events(), [safety(&theirs, &own, false)]);
    assert_eq!(world.remembered, [], "showing is not confirming");
    world.command(verify(true));
    told(&mut world, &theirs, &own);
    assert_eq!(world.events(), [safety(&theirs, &own, true)]);
    let mut keys = theirs.to_vec();
    keys.sort();
    assert_eq!(world.remembered, [luke(&keys, Trust::Verified)]);
}

#[test]
fn what_is_confirmed_is_what_was_shown() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(verify(false));
    told(&mut world, &[other_device()], &[device()]);
    world.events();
    for _ in 0..2 {
        world.command(verify(true));
        told(&mut world, &[other_device(), third_secret().public()], &[device()]);
        assert_eq!(world.events(), [Event::Error(Failure::SafetyNumberChanged(name("luke")))]);
    }
    assert_eq!(world.remembered, []);
    // Without having seen one, whoever confirms sees it now.
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(verify(true));
    told(&mut world, &[other_device()], &[device()]);
    assert_eq!(world.events(), [safety(&[other_device()], &[device()], true)]);
}

#[test]
fn a_server_that_hides_one_s_own_key_is_told() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    for confirm in [false, true] {
        world.command(verify(confirm));
        told(&mut world, &[other_device()], &[third_secret().public()]);
        assert_eq!(world.events(), [Event::Error(Failure::OwnKeyMissing)]);
    }
    assert_eq!(world.remembered, []);
}

#[test]
fn verifying_allows_a_new_key() {
    let mut world = knowing(AcceptPolicy::All, luke(&[other_device()], Trust::Changed));
    world.command(verify(true));
    told(&mut world, &[other_device()], &[device()]);
    world.events();
    world.server(offer(1));
    assert_eq!(shown(&mut world), (false, false));
    assert!(is_accepted(&mut world));
}

#[test]
fn there_must_be_somebody_to_verify() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::Verify { user: "no name".into(), confirm: true });
    let no_name = Event::Error(Failure::NoSuchUser(vec!["no name".into()]));
    assert_eq!((world.events(), world.requests()), (vec![no_name], vec![]));
    world.command(Command::Verify { user: "yoda".into(), confirm: true });
    world.answer(devices("yoda", device()));
    assert_eq!((world.events(), world.requests()), (vec![Event::Error(Failure::Oneself)], vec![]));
    world.command(verify(true));
    world.answer(ReplyBody::Refused(Refusal::NoSuchUser(vec!["luke".into()])));
    assert_eq!(world.events(), [Event::Error(Failure::NoSuchUser(vec!["luke".into()]))]);
    world.command(verify(true));
    world.answer(ReplyBody::Devices(Devices { user: name("luke"), keys: vec![], active: None }));
    assert_eq!((world.events(), world.requests()), (vec![Event::Error(Failure::NoDevices(name("luke")))], vec![]));
}

#[test]
fn a_name_is_the_account_s_however_it_was_typed() {
    // One of an earlier version, which took names as they were.
    let (typed, account) = ("Zo\u{eb}", UserName::read("Zoe\u{308}").unwrap());
    let told = || {
        let (user, keys, active) = (account.clone(), vec![other_device()], Some(other_device()));
        ReplyBody::Devices(Devices { user, keys, active })
    };
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::Verify { user: typed.into(), confirm: true });
    assert_eq!(world.answer(told()), asks_devices(typed, false));
    world.answer(devices("yoda", device()));
    assert_eq!(world.remembered[0].name, account);
    world.command(Command::SendFiles { to: typed.into(), paths: vec!["a".into()] });
    world.input(opened(1));
    world.answer(told());
    let bodies = world.bodies();
    let [RequestBody::Offer { to, sealed, .. }] = &bodies[..] else { panic!("{bodies:?}") };
    assert_eq!(to, account.as_str());
    let parties = OfferParties { sender: &name("yoda"), receiver: &account };
    assert!(open_offer(parties, &other_secret(), &device(), sealed).is_some());
}

#[test]
fn a_list_of_devices_that_is_none_is_a_broken_server_and_the_command_is_answered_once() {
    let (two, key) = (vec![PublicKey([2; 32]), PublicKey([1; 32])], PublicKey([1; 32]));
    let many = (0..=MAX_KEYS_PER_PERSON as u8).map(|byte| PublicKey([byte; 32])).collect();
    for (user, keys, active) in
        [("leia", vec![key], None), ("luke", vec![], Some(key)), ("luke", two, None), ("luke", many, None)]
    {
        let mut world = World::logged_in(AcceptPolicy::Ask);
        world.command(verify(false));
        world.answer(ReplyBody::Devices(Devices { user: name(user), keys, active }));
        let events = world.events();
        assert!(
            matches!(&events[..], [Event::Error(Failure::ConnectionLost), Event::ConnectionLost { .. }]),
            "{events:?}"
        );
    }
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(verify(false));
    world.input(Input::Disconnected { reason: "gone".into() });
    assert!(matches!(&world.events()[..], [Event::Error(Failure::ConnectionLost), Event::ConnectionLost { .. }]));
}
