//! A session as the log has it: how it is proved, and how its newest posts were answered, so that a post whose answer
//! was lost is answered again and not stored twice.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::id::{MessageNumber, RequestId, SessionId};
use crate::machine::Usage;
use crate::secure::{PublicKey, ResumeHash, ResumeSecret};
use crate::time::Timestamp;
use crate::wire::limits::{MAX_REQUESTS_IN_FLIGHT, RESUME_LIFETIME};
use crate::wire::message::{Refusal, ReplyBody};

/// Answers that are remembered. After a post that has no answer yet a client sends fewer others.
const MAX_ANSWERS: usize = MAX_REQUESTS_IN_FLIGHT;

/// A session of one account.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Resumable {
    session: SessionId,
    /// The device on which it can be resumed.
    device: PublicKey,
    /// Of the secret with which it can be resumed.
    secret: ResumeHash,
    since: Timestamp,
    /// In the order of the log.
    answers: VecDeque<(RequestId, PostAnswer)>,
}

/// How a post was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PostAnswer {
    Sent { number: MessageNumber, at: Timestamp },
    Refused(Refusal),
}

impl Resumable {
    /// A session that has just started.
    pub(super) fn new(session: SessionId, device: PublicKey, secret: ResumeHash, since: Timestamp) -> Resumable {
        Resumable { session, device, secret, since, answers: VecDeque::new() }
    }

    /// Which session.
    pub(super) fn session(&self) -> SessionId {
        self.session
    }

    /// Whether a client on this device that has this secret may go on with it.
    pub(super) fn is_resumed_by(&self, device: PublicKey, secret: &ResumeSecret, wall: Timestamp) -> bool {
        let over = self.since.saturating_add(RESUME_LIFETIME);
        self.device == device && self.secret == secret.hash() && wall < over
    }

    /// How this post was answered, if it was and is remembered.
    pub(super) fn answer(&self, request: RequestId) -> Option<&PostAnswer> {
        // The newest first: what is asked for again is among them.
        self.answers.iter().rev().find(|(id, _)| *id == request).map(|(_, answer)| answer)
    }

    /// Remembers how a post was answered.
    pub(super) fn remember(&mut self, request: RequestId, answer: PostAnswer) {
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.pop_front();
        }
        self.answers.push_back((request, answer));
    }

    /// How many answers are remembered.
    pub(super) fn usage(&self) -> Usage {
        Usage::new("answers to posts of one session", self.answers.len(), MAX_ANSWERS)
    }
}

impl From<PostAnswer> for ReplyBody {
    fn from(answer: PostAnswer) -> ReplyBody {
        match answer {
            PostAnswer::Sent { number, at } => ReplyBody::Sent { number, at },
            PostAnswer::Refused(refusal) => ReplyBody::Refused(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn resumable() -> Resumable {
        let secret = ResumeSecret([1; 32]);
        Resumable::new(SessionId(7), PublicKey([2; 32]), secret.hash(), Timestamp::from_millis(1_000))
    }

    fn sent(number: u64) -> PostAnswer {
        PostAnswer::Sent { number: MessageNumber(number), at: Timestamp::default() }
    }

    #[test]
    fn only_its_device_with_its_secret_resumes_it_and_not_for_ever() {
        let (it, secret, device) = (resumable(), ResumeSecret([1; 32]), PublicKey([2; 32]));
        let end = Timestamp::from_millis(1_000).saturating_add(RESUME_LIFETIME);
        let early = |millis| end.saturating_add(Duration::from_millis(millis));
        assert!(it.is_resumed_by(device, &secret, Timestamp::from_millis(0)), "a clock that was set back");
        assert!(it.is_resumed_by(device, &secret, Timestamp::from_millis(end.as_millis() - 1)));
        assert!(!it.is_resumed_by(device, &secret, early(0)));
        assert!(!it.is_resumed_by(PublicKey([3; 32]), &secret, Timestamp::from_millis(1_000)));
        assert!(!it.is_resumed_by(device, &ResumeSecret([3; 32]), Timestamp::from_millis(1_000)));
    }

    #[test]
    fn the_newest_answers_are_remembered() {
        let mut it = resumable();
        for number in 1..=MAX_ANSWERS as u64 + 1 {
            it.remember(RequestId(number), sent(number));
        }
        assert_eq!((it.answer(RequestId(1)), it.answer(RequestId(2))), (None, Some(&sent(2))));
        assert_eq!((it.answer(RequestId(300)), it.usage().used), (None, MAX_ANSWERS));
        it.remember(RequestId(9), PostAnswer::Refused(Refusal::NotAMember));
        assert_eq!(it.answer(RequestId(9)), Some(&PostAnswer::Refused(Refusal::NotAMember)), "the newest of two");
    }
}
