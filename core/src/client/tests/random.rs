//! Random people against random servers: no panic, and the books balance when the connection ends.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::client::event::{Direction, TransferFailure, TransferState};
use crate::client::io::SourceId;
use crate::wire::limits::MAX_REQUESTS_IN_FLIGHT;
use crate::wire::message::{Cursor, HistoryKind, LoginRefusal, OfferEnd, Refusal};

/// Rooms that others make have this id, to tell them from answers.
const ROOM_OF_OTHERS: u32 = 1_000;

#[derive(Clone, Debug)]
enum Step {
    Connected,
    Granted,
    /// The connection is lost; maybe after the server has stored the posts that are under way.
    Lost {
        stored: bool,
    },
    /// The driver has connected again, or not.
    Connects {
        how: u8,
    },
    Stopped,
    /// Somebody broadcasts.
    Said,
    Command(Command),
    /// Replies to one of the requests that are open, well (mostly) or badly.
    Reply {
        which: usize,
        how: u8,
    },
    Server(wire::Event),
    Stray(u64),
    Opened {
        which: usize,
        well: bool,
    },
    Report(u64, Progress),
    Wait(u64),
}

fn commands() -> impl Strategy<Value = Command> {
    let id = || (0u64..6).prop_map(OfferId);
    let room = || (0u32..3).prop_map(RoomId);
    let text = || prop_oneof![9 => Just("hi".to_owned()), 1 => Just(String::new())];
    let kind = prop_oneof![Just(HistoryKind::Broadcast), Just(HistoryKind::Rooms)];
    prop_oneof![
        4 => text().prop_map(|text| Command::Broadcast { text }),
        2 => (room(), text()).prop_map(|(room, text)| Command::RoomMessage { room, text }),
        2 => text().prop_map(|text| Command::DirectMessage { to: "luke".into(), text }),
        1 => Just(login()),
        1 => Just(Command::ActiveUsers),
        1 => Just(Command::Rooms),
        1 => Just(Command::BuildRoom { users: vec!["luke".into()] }),
        1 => room().prop_map(|room| Command::Invite { room, user: "luke".into() }),
        1 => room().prop_map(|room| Command::Leave { room }),
        2 => kind.prop_map(|kind| Command::History { kind, since: AT }),
        3 => Just(Command::SendFiles { to: "luke".into(), paths: vec!["a".into()] }),
        3 => id().prop_map(|offer| Command::Accept { offer }),
        1 => id().prop_map(|offer| Command::Reject { offer }),
        1 => Just(Command::Transfers),
        2 => id().prop_map(|transfer| Command::Cancel { transfer }),
        2 => any::<bool>().prop_map(|confirm| Command::Verify { user: "luke".into(), confirm }),
        1 => Just(Command::Logout),
    ]
}

fn events() -> impl Strategy<Value = wire::Event> {
    let ended = prop_oneof![Just(OfferEnd::Rejected), Just(OfferEnd::Expired), Just(OfferEnd::UserLeft)];
    let from = name("luke");
    prop_oneof![
        (0u64..5).prop_map(move |number| wire::Event::DirectMessage {
            number: MessageNumber(number),
            at: AT,
            from: from.clone(),
            text: "hi".into()
        }),
        Just(wire::Event::RoomCreated(room(ROOM_OF_OTHERS))),
        Just(wire::Event::RoomChanged(room(ROOM_OF_OTHERS))),
        (0u64..6, 0u8..8).prop_map(|(id, of)| if of == 0 { offer_by(id, &SecretKey::new([3; 32])) } else { offer(id) }),
        (0u64..6).prop_map(|id| wire::Event::OfferAccepted {
            offer: OfferId(id),
            address: ([192, 0, 2, 2], 7).into(),
            index: PeerIndex(3),
            device: other_device(),
        }),
        (0u64..6, ended).prop_map(|(id, reason)| wire::Event::OfferEnded { offer: OfferId(id), reason }),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let progress = prop_oneof![
        Just(Progress::Moving { bytes: 1, rate_bps: 1, path: Default::default() }),
        Just(Progress::Done { blake3: [0; 32], saved_as: None }),
        Just(Progress::Failed(TransferFailure::Cancelled)),
    ];
    prop_oneof![
        1 => Just(Step::Connected),
        3 => any::<bool>().prop_map(|stored| Step::Lost { stored }),
        12 => any::<u8>().prop_map(|how| Step::Connects { how }),
        6 => Just(Step::Said),
        30 => commands().prop_map(Step::Command),
        40 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Reply { which, how }),
        12 => events().prop_map(Step::Server),
        6 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, well)| Step::Opened { which, well }),
        6 => (0u64..6, progress).prop_map(|(id, progress)| Step::Report(id, progress)),
        10 => (0u64..3_000).prop_map(Step::Wait),
    ]
}

/// What ends many runs too early if it comes at any time; so it comes at most once, late.
fn last_steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => any::<bool>().prop_map(|stored| Step::Lost { stored }),
        1 => (0u64..100).prop_map(Step::Stray),
        2 => Just(Step::Command(Command::Logout)),
        2 => Just(Step::Wait(20_000)),
        1 => Just(Step::Wait(100_000)),
    ]
}

/// A reply that fits, a refusal, or nonsense.
fn reply_to(body: &RequestBody, how: u8, fresh: u64) -> ReplyBody {
    if how == 255 {
        return ReplyBody::Rooms(vec![]);
    }
    let refused = how >= 192;
    match body {
        RequestBody::Login { .. } if refused => ReplyBody::LoginFailed(LoginRefusal::InvalidCredentials),
        RequestBody::Login { .. } => ReplyBody::Welcome { user: name("yoda"), failed_logins: 0 },
        RequestBody::Resume { .. } if how >= 250 => ReplyBody::LoginFailed(LoginRefusal::SessionOver),
        RequestBody::Resume { .. } if how >= 220 => {
            ReplyBody::LoginFailed(LoginRefusal::Busy { retry_after_ms: u64::from(how) * 10 })
        }
        RequestBody::Resume { .. } => ReplyBody::Resumed { missed: fresh },
        RequestBody::Logout => ReplyBody::Bye,
        RequestBody::Leave { .. } if how >= 224 => ReplyBody::Refused(Refusal::NotAMember),
        RequestBody::Invite { .. } if how >= 224 => ReplyBody::Refused(Refusal::AlreadyAMember),
        _ if refused => ReplyBody::Refused(Refusal::LimitReached("a limit".into())),
        RequestBody::Broadcast { .. } | RequestBody::RoomMessage { .. } | RequestBody::DirectMessage { .. } => sent(1),
        RequestBody::ActiveUsers => ReplyBody::ActiveUsers(vec![]),
        RequestBody::BuildRoom { .. } if how < 96 => ReplyBody::RoomExists(room(1)),
        RequestBody::BuildRoom { .. } => ReplyBody::RoomCreated(room(1)),
        RequestBody::Rooms => ReplyBody::Rooms(vec![]),
        RequestBody::Latest { .. } => ReplyBody::History { messages: vec![], next: None },
        RequestBody::Missed => ReplyBody::Missed { messages: vec![], more: false },
        RequestBody::Ping => ReplyBody::Done,
        RequestBody::Invite { .. } => ReplyBody::Invited(room(1)),
        RequestBody::Leave { room } => ReplyBody::Left { room: *room },
        RequestBody::History { .. } => {
            let next = (how < 96).then_some(Cursor { room: None, number: MessageNumber(fresh) });
            ReplyBody::History { messages: vec![], next }
        }
        RequestBody::Find { .. } => ReplyBody::Found { messages: vec![], next: None },
        RequestBody::Offer { .. } => ReplyBody::Offered { offer: OfferId(if how < 8 { 1 } else { fresh % 6 }) },
        RequestBody::Devices { user, .. } if user == "yoda" => devices("yoda", device()),
        RequestBody::Devices { user, .. } => {
            let key = if how < 24 { PublicKey([3; 32]) } else { other_device() };
            devices(user, key)
        }
        RequestBody::DirectReceived { .. }
        | RequestBody::AnswerOffer { .. }
        | RequestBody::WithdrawOffer { .. }
        | RequestBody::CatchUp => ReplyBody::Done,
    }
}

/// The books of one run.
#[derive(Default)]
struct Books {
    /// Commands that want an answer of their own.
    commands: usize,
    answers: usize,
    /// Ids that a `CANCEL` named, and how many transfers with such an id ended afterwards.
    cancelled: BTreeSet<OfferId>,
    ends_after_cancel: usize,
    open: BTreeMap<RequestId, RequestBody>,
    /// Files to be opened, and those that are open and were not started or closed.
    to_open: Vec<SourceId>,
    opened: BTreeSet<SourceId>,
    /// Transfers that were started and have not ended.
    running: BTreeSet<OfferId>,
    /// Whether the last event has come.
    over: bool,
    /// Whether `Finish` stands for `Logout` in this run.
    finishing: bool,
    server: Server,
}

/// The server's side: what was broadcast, and how far the connection is.
#[derive(Default)]
struct Server {
    /// For each broadcast, whether it is this client's.
    log: Vec<bool>,
    /// The numbers of this client's, by which they are recognised when they come again.
    stored: BTreeMap<RequestId, u64>,
    /// Up to where this client was told, on this connection.
    told: u64,
    /// Up to where this client has shown or skipped what was broadcast, as it must.
    shown: u64,
    granted: bool,
    /// Whether the driver is to connect.
    connecting: bool,
    away: bool,
    /// Whether the client is behind: the last page has not come.
    behind: bool,
    /// What was asked on connections that are lost.
    lost: BTreeMap<RequestId, RequestBody>,
    /// The id of the last request of this connection that does not resume it.
    last: Option<RequestId>,
    positions: wire::Positions,
}

impl Server {
    /// Stores this client's post once; its number.
    fn store(&mut self, id: RequestId) -> u64 {
        if let Some(number) = self.stored.get(&id) {
            return *number;
        }
        self.log.push(true);
        let number = self.log.len() as u64;
        self.stored.insert(id, number);
        number
    }

    /// A page of what this client has missed.
    fn page(&mut self, how: u8) -> ReplyBody {
        let end = self.log.len().min(self.told as usize + usize::from(how % 4));
        let past = |number: usize| {
            let from = name(if self.log[number] { "yoda" } else { "luke" });
            let number = MessageNumber(number as u64 + 1);
            wire::PastMessage { room: None, number, at: AT, from, text: "hi".into() }
        };
        let messages = (self.told as usize..end).map(past).collect();
        self.told = end as u64;
        self.behind = end < self.log.len();
        ReplyBody::Missed { messages, more: self.behind }
    }

    /// This client sees number `number`, said by somebody: everything before it was its own or was shown.
    fn shows(&mut self, number: MessageNumber) -> Result<(), TestCaseError> {
        let skipped = self.log.get(self.shown as usize..number.0 as usize - 1);
        prop_assert!(skipped.is_some_and(|all| all.iter().all(|own| *own)), "{number} after {}", self.shown);
        prop_assert!(!self.log[number.0 as usize - 1], "its own");
        self.shown = number.0;
        Ok(())
    }

    fn resumes(&mut self, positions: &wire::Positions) -> Result<(), TestCaseError> {
        let before = core::mem::replace(&mut self.positions, positions.clone());
        prop_assert!(positions.broadcasts >= before.broadcasts && positions.broadcasts.0 >= self.shown);
        for (room, number) in before.rooms {
            let now = positions.rooms.iter().find(|(other, _)| *other == room);
            prop_assert!(now.is_none_or(|(_, now)| *now >= number), "{room} went back");
        }
        (self.told, self.behind) = (positions.broadcasts.0, true);
        Ok(())
    }

    /// Whether what others do is told now.
    fn tells(&self) -> bool {
        !self.away && !self.behind
    }
}

impl Books {
    fn take(&mut self, output: Output) -> Result<(), TestCaseError> {
        match output {
            Output::Send(Request { id, body }) => {
                prop_assert!(!self.server.away, "{body:?} without a connection");
                if let RequestBody::Resume { positions, .. } = &body {
                    self.server.resumes(positions)?;
                } else if !matches!(body, RequestBody::Missed) {
                    prop_assert!(!self.server.behind, "{body:?} before everything was read");
                    prop_assert!(self.server.last < Some(id), "not in the order of the first asking");
                    self.server.last = Some(id);
                }
                if let Some(before) = self.server.lost.remove(&id) {
                    prop_assert_eq!(&before, &body, "asked again, and otherwise");
                }
                prop_assert!(self.open.insert(id, body).is_none(), "an id is used twice");
                prop_assert!(self.open.len() <= MAX_REQUESTS_IN_FLIGHT);
            }
            Output::Event(event) => self.event(event)?,
            Output::OpenSource { source, .. } => self.to_open.push(source),
            Output::CloseSource { source } => prop_assert!(self.opened.remove(&source), "closed and not open"),
            Output::Start(start) => {
                if let crate::client::io::Side::Send { source } = start.side {
                    prop_assert!(self.opened.remove(&source), "started and not open");
                }
                prop_assert!(self.running.insert(start.transfer), "started twice");
            }
            Output::Cancel { transfer, .. } => {
                prop_assert!(self.running.contains(&transfer), "cancelled and not started")
            }
            Output::Disconnect => {
                prop_assert!(self.over || self.server.granted);
                self.lose(false);
            }
            Output::Connect => {
                prop_assert!(self.server.away && !self.server.connecting && !self.over);
                self.server.connecting = true;
            }
            Output::Remember(person) => prop_assert_eq!(person.name, name("luke")),
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), TestCaseError> {
        prop_assert!(!self.over, "{event:?} after the last event");
        let answer = match event {
            Event::RoomCreated(room) | Event::RoomChanged(room) => room.room != RoomId(ROOM_OF_OTHERS),
            Event::Transfer(transfer) => self.transfer(&transfer),
            Event::Bye { .. } => {
                self.over = true;
                !self.finishing
            }
            Event::ConnectionLost { .. } => {
                self.over = true;
                false
            }
            Event::Broadcast { number, .. } => {
                self.server.shows(number)?;
                false
            }
            Event::Reconnecting { .. } => {
                prop_assert!(self.server.away && self.server.granted);
                false
            }
            Event::DirectMessage { .. } | Event::Offer { .. } | Event::PeerKeyChanged { .. } => false,
            Event::Resumed { .. } => false,
            _ => true,
        };
        self.answers += usize::from(answer);
        Ok(())
    }

    /// Whether it answers a command other than `CANCEL`.
    fn transfer(&mut self, transfer: &Transfer) -> bool {
        let ended = matches!(transfer.state, TransferState::Done { .. } | TransferState::Failed(_));
        if ended {
            self.running.remove(&transfer.id);
            self.ends_after_cancel += usize::from(self.cancelled.contains(&transfer.id));
        }
        transfer.state == TransferState::Starting && transfer.direction == Direction::Out
    }

    /// The connection is gone, maybe after the posts under way were stored.
    fn lose(&mut self, stored: bool) {
        for (id, body) in core::mem::take(&mut self.open) {
            if stored && matches!(body, RequestBody::Broadcast { .. }) {
                self.server.store(id);
            }
            self.server.lost.insert(id, body);
        }
        (self.server.away, self.server.connecting, self.server.last) = (true, false, None);
    }

    fn reply(&mut self, id: RequestId, how: u8, fresh: u64) -> Option<ReplyBody> {
        let body = self.open.remove(&id)?;
        let (server, reply) = (&mut self.server, reply_to(&body, how, fresh));
        Some(match (&body, reply) {
            (RequestBody::Broadcast { .. }, ReplyBody::Sent { .. }) => sent(server.store(id)),
            // What was stored is not refused when it comes again.
            (RequestBody::Broadcast { .. }, reply) => server.stored.get(&id).map_or(reply, |number| sent(*number)),
            (RequestBody::Missed, ReplyBody::Missed { .. }) => server.page(how),
            (_, reply) => reply,
        })
    }

    /// The input for a step, if it makes sense now.
    fn input(&mut self, step: Step, fresh: u64) -> Option<Input> {
        Some(match step {
            Step::Connected if self.server.away => return None,
            Step::Connected => connected(),
            Step::Granted => {
                self.server.granted = true;
                let broadcasts = MessageNumber(self.server.log.len() as u64);
                let positions = wire::Positions { broadcasts, rooms: vec![(RoomId(1), MessageNumber(3))] };
                let secret = ResumeSecret([4; 32]);
                Input::Message(ServerMessage::Event(wire::Event::Granted { secret, positions }))
            }
            Step::Lost { stored } => {
                (!self.server.away).then_some(())?;
                self.lose(stored);
                Input::Disconnected { reason: "gone".into() }
            }
            Step::Connects { how } => {
                core::mem::take(&mut self.server.connecting).then_some(())?;
                if how >= 128 {
                    let server_key_changed = how == 255;
                    Input::NotConnected { reason: "nobody is there".into(), server_key_changed }
                } else {
                    self.server.away = false;
                    connected()
                }
            }
            Step::Stopped => Input::Stopped,
            Step::Said => {
                self.server.log.push(false);
                self.server.tells().then_some(())?;
                let number = MessageNumber(self.server.log.len() as u64);
                let (from, text) = (name("luke"), "hi".into());
                Input::Message(ServerMessage::Event(wire::Event::Broadcast { number, at: AT, from, text }))
            }
            Step::Command(Command::Logout) if self.finishing => Input::Command(Command::Finish),
            Step::Command(command) => {
                if !self.over {
                    self.commands += 1;
                    if let Command::Cancel { transfer } = command {
                        self.cancelled.insert(transfer);
                    }
                }
                Input::Command(command)
            }
            Step::Reply { which, how } => {
                let id = *self.open.keys().nth(which % self.open.len().max(1))?;
                let body = self.reply(id, how, fresh)?;
                Input::Message(ServerMessage::Reply(Reply { id, body }))
            }
            Step::Server(_) if !self.server.tells() => return None,
            Step::Server(event) => Input::Message(ServerMessage::Event(event)),
            Step::Stray(_) if self.server.away => return None,
            Step::Stray(id) => {
                Input::Message(ServerMessage::Reply(Reply { id: RequestId(1_000_000 + id), body: ReplyBody::Done }))
            }
            Step::Opened { which, well } => {
                if self.to_open.is_empty() {
                    return None;
                }
                let source = self.to_open.remove(which % self.to_open.len());
                if well {
                    self.opened.insert(source);
                    Input::SourceOpened { source, label: FileLabel::new("a"), bytes: 5, listing: None }
                } else {
                    Input::SourceFailed { source, missing: Some("a".into()), reason: "gone".into() }
                }
            }
            Step::Report(id, progress) => {
                self.running.contains(&OfferId(id)).then_some(())?;
                Input::Report(Report { transfer: OfferId(id), progress })
            }
            Step::Wait(_) => Input::Woke,
        })
    }
}

/// Carries out the steps, then ends the connection, and gives all that was said.
fn run(accept: AcceptPolicy, finishing: bool, granted: bool, steps: &[Step]) -> Result<(Books, String), TestCaseError> {
    let mut client = Client::new(accept, 6000, secret(), [9; 32], true);
    let mut books = Books { finishing, ..Books::default() };
    let mut now = Instant::ZERO;
    let mut said = String::new();
    let beginning = [Step::Connected, Step::Command(login()), Step::Reply { which: 0, how: 0 }];
    let granting = granted.then_some(&Step::Granted);
    for (step, fresh) in beginning.iter().chain(granting).chain(steps).chain([&Step::Stopped]).zip(2u64..) {
        if let Step::Wait(millis) = step {
            now = now + Duration::from_millis(*millis);
        }
        let Some(input) = books.input(step.clone(), fresh) else { continue };
        let mut out = Vec::new();
        client.handle(now, input, &mut out);
        prop_assert!(client.deadline().is_none_or(|deadline| deadline >= now));
        said += &format!("{out:?}");
        for output in out {
            books.take(output)?;
        }
    }
    Ok((books, said))
}

fn policies() -> impl Strategy<Value = AcceptPolicy> {
    prop_oneof![2 => Just(AcceptPolicy::Ask), 2 => Just(AcceptPolicy::All), 1 => Just(AcceptPolicy::None)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_command_is_answered_exactly_once_by_the_end(
        accept in policies(),
        finishing: bool,
        granted in prop::bool::weighted(0.8),
        steps in prop::collection::vec(steps(), 0..120),
        last in prop::collection::vec(last_steps(), 0..3),
    ) {
        let steps: Vec<Step> = steps.into_iter().chain(last).collect();
        let (books, said) = run(accept, finishing, granted, &steps)?;
        prop_assert!(books.over, "no last event");
        // A cancelled transfer answers by its end, which cannot always be told from an end by itself.
        prop_assert!(books.answers <= books.commands, "{} answers to {} commands", books.answers, books.commands);
        let most = books.answers + books.ends_after_cancel;
        prop_assert!(books.commands <= most, "{} commands and at most {most} answers", books.commands);
        prop_assert!(books.opened.is_empty(), "files are left open: {:?}", books.opened);
        prop_assert!(books.running.is_empty(), "transfers without an end: {:?}", books.running);
        prop_assert_eq!(run(accept, finishing, granted, &steps)?.1, said, "the same inputs give the same outputs");
    }

    #[test]
    fn any_message_at_any_time_is_survived(
        early: bool,
        messages in prop::collection::vec((0u64..6, 0u8..=255, prop::option::of(events())), 0..40),
    ) {
        let mut world = if early { World::new(AcceptPolicy::Ask) } else { World::logged_in(AcceptPolicy::Ask) };
        let bodies = [
            RequestBody::Logout, RequestBody::ActiveUsers, RequestBody::Rooms, RequestBody::Broadcast { text: "x".into() },
            RequestBody::Leave { room: RoomId(1) }, RequestBody::WithdrawOffer { offer: OfferId(1) },
        ];
        for (id, how, event) in messages {
            world.command(broadcast("hi"));
            match event {
                Some(event) => world.server(event),
                None => world.reply(RequestId(id), reply_to(&bodies[usize::from(how) % bodies.len()], how, 1)),
            }
        }
        world.input(Input::Stopped);
        let last = |event: &Event| matches!(event, Event::Bye { .. } | Event::ConnectionLost { .. });
        prop_assert_eq!(world.events.iter().filter(|event| last(event)).count(), 1);
        prop_assert!(world.events.last().is_some_and(last));
    }
}
