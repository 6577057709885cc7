//! The order in which lines are carried out when a script writes them: each sees what the ones before it did,
//! and the answers come in the order of the lines, since nothing else says which answer belongs to which.
//!
//! Posts may be under way together, as they keep their order on their way; everything else waits until all
//! before it is answered. People at a terminal decide themselves what to wait for.

use std::collections::VecDeque;

use toom_core::client::command::Command;
use toom_core::client::event::{Direction, Event, Transfer, TransferState};

use crate::line::parse::{ParseError, Parsed};

/// A line, read.
pub(super) type Line = Result<Parsed, ParseError>;

/// The lines that are waiting, and what has not been answered.
#[derive(Default)]
pub(super) struct Pace {
    waiting: VecDeque<Line>,
    unanswered: VecDeque<Answer>,
}

/// Which events can be the answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Sent,
    Room,
    RoomChanged,
    Offered,
    OfferAnswered,
    Other,
}

impl Pace {
    /// A line was read. There are never more than the session wanted.
    pub(super) fn add(&mut self, line: Line) {
        self.waiting.push_back(line);
    }

    /// The next line, if its turn has come; it is to be carried out now.
    pub(super) fn next(&mut self) -> Option<Line> {
        let answer = match self.waiting.front()? {
            Ok(Parsed::Command(command)) => Some(Answer::to(command)),
            _ => None,
        };
        let with_others = answer == Some(Answer::Sent) && self.unanswered.iter().all(|other| *other == Answer::Sent);
        if !with_others && !self.unanswered.is_empty() {
            return None;
        }
        self.unanswered.extend(answer);
        self.waiting.pop_front()
    }

    /// The next line, whether its turn has come or not.
    pub(super) fn next_of_all(&mut self) -> Option<Line> {
        self.waiting.pop_front()
    }

    /// How many lines are waiting.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether one of those that are waiting logs out.
    pub(super) fn has_logout(&self) -> bool {
        self.waiting.iter().any(|line| matches!(line, Ok(Parsed::Command(Command::Logout))))
    }

    /// Something was said; whether it answers a command.
    pub(super) fn is_answer(&mut self, event: &Event) -> bool {
        let answers = self.unanswered.front().is_some_and(|expected| expected.is(event));
        if answers {
            self.unanswered.pop_front();
        }
        answers
    }

    /// Whether every line has been carried out and answered.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.unanswered.is_empty()
    }
}

impl Answer {
    fn to(command: &Command) -> Answer {
        match command {
            Command::Broadcast { .. } | Command::RoomMessage { .. } | Command::DirectMessage { .. } => Answer::Sent,
            Command::BuildRoom { .. } => Answer::Room,
            Command::Invite { .. } => Answer::RoomChanged,
            Command::SendFiles { .. } | Command::SendStream { .. } => Answer::Offered,
            Command::Accept { .. } | Command::AcceptStream { .. } | Command::Reject { .. } | Command::Cancel { .. } => {
                Answer::OfferAnswered
            }
            _ => Answer::Other,
        }
    }

    fn is(self, event: &Event) -> bool {
        match (self, event) {
            (_, Event::Error(_)) => true,
            (Answer::Sent, event) => matches!(event, Event::Sent { .. }),
            (Answer::Room, event) => matches!(event, Event::RoomCreated(_) | Event::RoomExists(_)),
            (Answer::RoomChanged, event) => matches!(event, Event::RoomChanged(_)),
            // What is told of others that are under way is no answer.
            (
                Answer::Offered | Answer::OfferAnswered,
                Event::Transfer(Transfer {
                    state: TransferState::Moving | TransferState::Waiting(_) | TransferState::Paused { .. },
                    ..
                }),
            ) => false,
            (Answer::Offered, Event::Transfer(transfer)) => transfer.direction == Direction::Out,
            (Answer::OfferAnswered, Event::Transfer(_)) => true,
            (Answer::OfferAnswered, event) => matches!(event, Event::OfferAnswered { .. }),
            (Answer::Other, event) => matches!(
                event,
                Event::ActiveUsers(_)
                    | Event::LeftRoom { .. }
                    | Event::Rooms(_)
                    | Event::History { .. }
                    | Event::Latest { .. }
                    | Event::Found { .. }
                    | Event::Transfers(_)
                    | Event::SafetyNumber { .. }
            ),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toom_core::client::event::{Failure, PostKind};
    use toom_core::id::MessageNumber;
    use toom_core::time::Timestamp;
    use toom_core::wire::message::RoomInfo;

    fn post() -> Line {
        Ok(Parsed::Command(Command::Broadcast { text: "x".into() }))
    }

    fn sent() -> Event {
        let at = Timestamp::from_millis(0);
        Event::Sent { kind: PostKind::Broadcast, number: MessageNumber(1), at }
    }

    #[test]
    fn posts_go_together_and_everything_else_waits_its_turn() {
        let mut pace = Pace::default();
        for line in [post(), post(), Ok(Parsed::Command(Command::ActiveUsers)), Ok(Parsed::Help(None)), post()] {
            pace.add(line);
        }
        assert!(pace.next().is_some() && pace.next().is_some());
        assert_eq!(pace.next(), None, "who is active is asked when both posts are answered");
        assert!(pace.is_answer(&sent()));
        assert_eq!(pace.next(), None);
        assert!(pace.is_answer(&Event::Error(Failure::BadText)));
        assert_eq!(pace.next(), Some(Ok(Parsed::Command(Command::ActiveUsers))));
        assert_eq!(pace.next(), None, "help waits for the answer before it");
        assert!(pace.is_answer(&Event::ActiveUsers(vec![])));
        assert_eq!(pace.next(), Some(Ok(Parsed::Help(None))));
        assert_eq!(pace.next(), Some(post()));
        assert!(!pace.is_done());
        assert!(pace.is_answer(&sent()));
        assert!(pace.is_done());
    }

    #[test]
    fn what_others_do_answers_nothing() {
        let mut pace = Pace::default();
        pace.add(post());
        let room = RoomInfo { room: toom_core::id::RoomId(1), members: vec![] };
        assert!(pace.next().is_some());
        assert!(!pace.is_answer(&Event::RoomCreated(room)));
        assert!(pace.is_answer(&sent()));
        assert!(!pace.is_answer(&sent()), "nothing is left to be answered");
    }
}
