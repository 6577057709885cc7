//! The requests that wait for their replies, and which of them were asked by commands.

use std::collections::{BTreeMap, VecDeque};

use super::answers::Place;
use super::event::PostKind;
use super::io::Output;
use crate::id::{MessageNumber, OfferId, RequestId, RoomId};
use crate::machine::Usage;
use crate::name::UserName;
use crate::secure::PublicKey;
use crate::wire::limits::MAX_REQUESTS_IN_FLIGHT;
use crate::wire::message::{HistoryKind, Request, RequestBody};

/// Requests of commands that may wait for their replies at the same time.
pub(super) const MAX_COMMANDS_IN_FLIGHT: usize = MAX_REQUESTS_IN_FLIGHT - 16;
/// What the client asks on its own account (receipts, answers to offers by policy) has its own share of the
/// requests in flight, so that a flood of commands cannot hold it up, nor the other way round. The logout, a ping, and
/// what resumes a session take the last three.
pub(super) const MAX_OWN_IN_FLIGHT: usize = 13;
const MAX_LAST: usize = 3;
/// Requests of one's own that wait for their turn. What comes beyond is not asked: a receipt goes out with the
/// next message, an unanswered offer expires at the server.
pub(super) const MAX_OWN_WAITING: usize = 1_024;

/// What a request was about, to understand its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Login,
    Logout,
    /// Something that changes the conference; its answer has a place among the others of its kind.
    Change(Place, Change),
    ActiveUsers,
    Rooms,
    History(HistoryKind),
    /// The newest messages of a room, or of the broadcasts.
    Latest(Option<RoomId>),
    Find,
    Offer,
    /// The keys of somebody's devices.
    Devices(Wanted),
    /// The answer to somebody's offer.
    Answer {
        offer: OfferId,
        by_command: bool,
    },
    /// An offer of one's own is taken back.
    Withdraw {
        offer: OfferId,
        by_command: bool,
    },
    /// Whether the direct messages that were missed have come.
    CatchUp,
    Receipt {
        from: UserName,
        through: MessageNumber,
    },
    /// That this client is there, or whether the server is.
    Ping,
    /// That the session goes on.
    Resume,
    /// The next page of what was missed.
    Missed,
}

/// What somebody's keys are wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// To offer them the file at hand.
    Receiver { user: UserName },
    /// To compare them.
    Theirs { user: UserName, confirm: bool },
    /// One's own, to compare them; theirs are known.
    Own { user: UserName, keys: Vec<PublicKey>, confirm: bool },
}

/// A change of the conference that one asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Post(PostKind),
    BuildRoom,
    Invite(RoomId),
    /// The room of an invitation that was carried out and whose reply was lost.
    Invited(RoomId),
    Leave(RoomId),
}

impl Asked {
    fn is_post(&self) -> bool {
        matches!(self, Asked::Change(_, Change::Post(_)))
    }

    /// Whether no command asked for it.
    fn is_own(&self) -> bool {
        match self {
            Asked::Answer { by_command, .. } | Asked::Withdraw { by_command, .. } => !by_command,
            Asked::Receipt { .. } | Asked::CatchUp | Asked::Logout => true,
            Asked::Ping | Asked::Resume | Asked::Missed => true,
            _ => false,
        }
    }

    /// Whether it ends with the connection on which it was asked.
    fn ends_with_connection(&self) -> bool {
        let of_connection = matches!(self, Asked::Login | Asked::Ping | Asked::Resume | Asked::Missed);
        of_connection || matches!(self, Asked::Answer { .. } | Asked::Withdraw { .. })
    }
}

/// A request that has no reply yet.
#[derive(Debug)]
pub(super) struct Open {
    /// To be asked again if the connection is lost.
    body: RequestBody,
    pub(super) asked: Asked,
    /// Whether it may have been asked on an earlier connection.
    pub(super) again: bool,
}

/// The requests of one session.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u64,
    open: BTreeMap<RequestId, Open>,
    /// Whether the connection is lost, so that what is asked waits for the next one.
    away: bool,
    /// Whether a ping is open.
    pinging: bool,
    /// How many of `open` are one's own.
    own_open: usize,
    /// How many of `open` are posts.
    posts_open: usize,
    own_waiting: VecDeque<(RequestBody, Asked)>,
}

impl Requests {
    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("requests in flight", self.open.len(), MAX_REQUESTS_IN_FLIGHT));
        each(Usage::new("requests of commands in flight", self.of_commands(), MAX_COMMANDS_IN_FLIGHT));
        each(Usage::new("requests of one's own that wait", self.own_waiting.len(), MAX_OWN_WAITING));
    }

    /// Whether another command may ask.
    pub(super) fn has_room(&self) -> bool {
        self.of_commands() < MAX_COMMANDS_IN_FLIGHT
    }

    /// How many requests of commands have no reply yet.
    pub(super) fn of_commands(&self) -> usize {
        self.open.len() - self.own_open
    }

    /// Whether all of these are posts.
    pub(super) fn are_posts(&self) -> bool {
        self.of_commands() == self.posts_open
    }

    /// Whether everything that was or will be asked is answered.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.own_waiting.is_empty()
    }

    /// Whether anything that was asked is not answered.
    pub(super) fn are_owed(&self) -> bool {
        !self.open.is_empty()
    }

    /// Asks now, or as soon as there is a connection again.
    pub(super) fn ask(&mut self, body: RequestBody, asked: Asked, out: &mut Vec<Output>) {
        let id = self.open(body.clone(), asked);
        if !self.away {
            out.push(Output::Send(Request { id, body }));
        }
    }

    /// Asks now, though what others ask waits until the session goes on.
    pub(super) fn ask_now(&mut self, body: RequestBody, asked: Asked, out: &mut Vec<Output>) {
        let id = self.open(body.clone(), asked);
        out.push(Output::Send(Request { id, body }));
    }

    /// Says that this client is there, unless it is saying so, or something else, already.
    pub(super) fn ping(&mut self, out: &mut Vec<Output>) {
        if !self.pinging && !self.away {
            self.pinging = true;
            self.ask(RequestBody::Ping, Asked::Ping, out);
        }
    }

    /// The connection is lost: what ends with it is forgotten, and those answers to offers that may not have arrived
    /// are given.
    pub(super) fn disconnected(&mut self) -> Vec<Asked> {
        self.away = true;
        let ends = |open: &Open| open.asked.ends_with_connection();
        let (over, open) = core::mem::take(&mut self.open).into_iter().partition(|(_, open)| ends(open));
        self.open = open;
        let over: BTreeMap<RequestId, Open> = over;
        let mut ended: Vec<Asked> = over.into_values().map(|open| open.asked).collect();
        self.own_open -= ended.iter().filter(|asked| asked.is_own()).count();
        self.pinging = false;
        for open in self.open.values_mut() {
            open.again = true;
        }
        let (waiting, over) = self.own_waiting.drain(..).partition(|(_, asked)| !asked.ends_with_connection());
        self.own_waiting = waiting;
        let over: VecDeque<(RequestBody, Asked)> = over;
        ended.extend(over.into_iter().map(|(_, asked)| asked));
        ended
    }

    /// The session goes on: asks everything that has no reply, in the order and with the ids of the first time.
    pub(super) fn connected_again(&mut self, out: &mut Vec<Output>) {
        self.away = false;
        let open = self.open.iter().map(|(id, open)| Request { id: *id, body: open.body.clone() });
        out.extend(open.map(Output::Send));
    }

    /// Asks on one's own account, when [`Requests::send_own`] finds room; whether there is room to wait.
    pub(super) fn ask_own(&mut self, body: RequestBody, asked: Asked) -> bool {
        let room = self.own_waiting.len() < MAX_OWN_WAITING;
        if room {
            self.own_waiting.push_back((body, asked));
        }
        room
    }

    /// Asks all that waited before a logout, as far as the server takes so much at once.
    pub(super) fn send_last(&mut self, out: &mut Vec<Output>) {
        while self.open.len() < MAX_REQUESTS_IN_FLIGHT - MAX_LAST
            && let Some((body, asked)) = self.own_waiting.pop_front()
        {
            self.ask(body, asked, out);
        }
    }

    /// Asks what waited, as far as there is room.
    pub(super) fn send_own(&mut self, out: &mut Vec<Output>) {
        while self.own_open < MAX_OWN_IN_FLIGHT
            && let Some((body, asked)) = self.own_waiting.pop_front()
        {
            self.ask(body, asked, out);
        }
    }

    /// What a reply is about; `None` if nothing was asked under this id, or it was answered already.
    pub(super) fn take(&mut self, id: RequestId) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.own_open -= usize::from(open.asked.is_own());
        self.posts_open -= usize::from(open.asked.is_post());
        self.pinging &= open.asked != Asked::Ping;
        Some(open)
    }

    /// Undoes [`Requests::take`]: the reply was none.
    pub(super) fn put_back(&mut self, id: RequestId, open: Open) {
        self.own_open += usize::from(open.asked.is_own());
        self.posts_open += usize::from(open.asked.is_post());
        self.open.insert(id, open);
    }

    /// Forgets everything and gives what had no reply, in the order of asking.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Asked> + use<> {
        (self.own_open, self.posts_open) = (0, 0);
        self.own_waiting.clear();
        core::mem::take(&mut self.open).into_values().map(|open| open.asked)
    }

    fn open(&mut self, body: RequestBody, asked: Asked) -> RequestId {
        self.last += 1;
        let id = RequestId(self.last);
        self.put_back(id, Open { body, asked, again: false });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::answers::Answers;
    use proptest::prelude::*;

    fn receipt(number: u64) -> (RequestBody, Asked) {
        let (from, through) = (UserName::new("yoda").unwrap(), MessageNumber(number));
        (RequestBody::DirectReceived { from: from.clone(), through }, Asked::Receipt { from, through })
    }

    #[test]
    fn commands_and_own_requests_have_their_own_shares_of_the_server_s_limit() {
        let (mut requests, mut out) = (Requests::default(), Vec::new());
        for number in 0..MAX_OWN_WAITING as u64 {
            let (body, asked) = receipt(number);
            assert!(requests.ask_own(body, asked));
        }
        let (body, asked) = receipt(0);
        assert!(!requests.ask_own(body, asked));
        requests.send_own(&mut out);
        assert_eq!(out.len(), MAX_OWN_IN_FLIGHT);
        while requests.has_room() {
            requests.ask(RequestBody::ActiveUsers, Asked::ActiveUsers, &mut out);
        }
        requests.send_own(&mut out);
        assert_eq!(out.len(), MAX_REQUESTS_IN_FLIGHT - MAX_LAST);
        // A reply to one of one's own makes room for one more.
        assert!(requests.take(RequestId(1)).is_some());
        requests.send_own(&mut out);
        assert_eq!(out.len(), MAX_REQUESTS_IN_FLIGHT - MAX_LAST + 1);
        assert!(!requests.has_room());
    }

    #[test]
    fn an_id_is_answered_once() {
        let (mut requests, mut out) = (Requests::default(), Vec::new());
        requests.ask(RequestBody::Rooms, Asked::Rooms, &mut out);
        assert_eq!(requests.take(RequestId(1)).map(|open| open.asked), Some(Asked::Rooms));
        assert!(requests.take(RequestId(1)).is_none());
        assert!(requests.take(RequestId(2)).is_none());
        assert!(requests.is_empty());
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// Commands ask, as long as there is room; posts or others.
        Command(bool, usize),
        /// The client asks on its own account.
        Own(usize),
        Send,
        SendLast,
        /// A reply to one that is open; it may be none.
        Reply(prop::sample::Index, bool),
        Disconnected,
        ConnectedAgain,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (any::<bool>(), 1..80usize).prop_map(|(post, count)| Op::Command(post, count)),
            4 => (1..400usize).prop_map(Op::Own),
            3 => Just(Op::Send),
            1 => Just(Op::SendLast),
            6 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, none)| Op::Reply(which, none)),
            1 => Just(Op::Disconnected),
            1 => Just(Op::ConnectedAgain),
        ]
    }

    /// What is open, by id: a command's post, another one of a command, or one of one's own.
    #[derive(Default)]
    struct Model {
        open: BTreeMap<u64, Kind>,
        last: u64,
        /// The numbers of one's own that wait.
        waiting: VecDeque<u64>,
        away: bool,
        /// The ids that went out.
        sent: Vec<u64>,
        /// Whether the logout follows: no command asks any more.
        ending: bool,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Post,
        Other,
        Own,
    }

    impl Model {
        fn count(&self, kind: Kind) -> usize {
            self.open.values().filter(|it| **it == kind).count()
        }

        fn ask(&mut self, kind: Kind) {
            self.last += 1;
            self.open.insert(self.last, kind);
            if !self.away {
                self.sent.push(self.last);
            }
        }
    }

    fn post() -> (RequestBody, Asked) {
        let change = Change::Post(PostKind::Broadcast);
        (RequestBody::Broadcast { text: "x".into() }, Asked::Change(Answers::default().reserve(), change))
    }

    proptest! {
        #[test]
        fn they_are_a_map_of_what_is_open_and_a_queue_of_what_waits(ops in prop::collection::vec(op(), 0..60)) {
            let (mut requests, mut model, mut out) = (Requests::default(), Model::default(), Vec::new());
            let mut numbers = 0;
            for op in ops {
                model.sent.clear();
                match op {
                    Op::Command(..) if model.ending => {}
                    Op::Command(is_post, count) => for _ in 0..count {
                        let of_commands = model.count(Kind::Post) + model.count(Kind::Other);
                        prop_assert_eq!(requests.has_room(), of_commands < MAX_COMMANDS_IN_FLIGHT);
                        if requests.has_room() {
                            let other = (RequestBody::ActiveUsers, Asked::ActiveUsers);
                            let (body, asked) = if is_post { post() } else { other };
                            requests.ask(body, asked, &mut out);
                            model.ask(if is_post { Kind::Post } else { Kind::Other });
                        }
                    },
                    Op::Own(count) => for _ in 0..count {
                        numbers += 1;
                        let (body, asked) = receipt(numbers);
                        let room = model.waiting.len() < MAX_OWN_WAITING;
                        prop_assert_eq!(requests.ask_own(body, asked), room);
                        if room {
                            model.waiting.push_back(numbers);
                        }
                    },
                    Op::Send => {
                        requests.send_own(&mut out);
                        while model.count(Kind::Own) < MAX_OWN_IN_FLIGHT
                            && model.waiting.pop_front().is_some()
                        {
                            model.ask(Kind::Own);
                        }
                    }
                    Op::SendLast => {
                        model.ending = true;
                        requests.send_last(&mut out);
                        while model.open.len() < MAX_REQUESTS_IN_FLIGHT - MAX_LAST
                            && model.waiting.pop_front().is_some()
                        {
                            model.ask(Kind::Own);
                        }
                    }
                    Op::Reply(..) if model.open.is_empty() => {
                        prop_assert!(requests.take(RequestId(model.last + 1)).is_none());
                    }
                    Op::Reply(which, none) => {
                        let id = *model.open.keys().nth(which.index(model.open.len())).unwrap();
                        let open = requests.take(RequestId(id)).expect("it is open");
                        prop_assert!(requests.take(RequestId(id)).is_none(), "only once");
                        if none {
                            requests.put_back(RequestId(id), open);
                        } else {
                            model.open.remove(&id);
                        }
                    }
                    Op::Disconnected => {
                        prop_assert!(requests.disconnected().is_empty(), "all of them go on");
                        model.away = true;
                    }
                    Op::ConnectedAgain if model.away => {
                        requests.connected_again(&mut out);
                        model.away = false;
                        model.sent.extend(model.open.keys());
                    }
                    Op::ConnectedAgain => {}
                }
                let sent: Vec<u64> = out.drain(..).map(|output| match output {
                    Output::Send(request) => request.id.0,
                    other => panic!("{other:?}"),
                }).collect();
                prop_assert_eq!(&sent, &model.sent);
                let posts = model.count(Kind::Post);
                let of_commands = posts + model.count(Kind::Other);
                prop_assert_eq!(requests.of_commands(), of_commands);
                prop_assert_eq!(requests.are_posts(), of_commands == posts);
                prop_assert_eq!(requests.are_owed(), !model.open.is_empty());
                prop_assert_eq!(requests.is_empty(), model.open.is_empty() && model.waiting.is_empty());
                let waiting = requests.own_waiting.iter().map(|(_, asked)| match asked {
                    Asked::Receipt { through, .. } => through.0,
                    other => panic!("{other:?}"),
                });
                prop_assert_eq!(waiting.collect::<Vec<_>>(), model.waiting.iter().copied().collect::<Vec<_>>());
                requests.usage(&mut |usage| assert!(usage.used <= usage.limit, "{usage:?}"));
            }
        }
    }
}
