//! Files offered by one user to another, until they are answered.

use std::collections::{BTreeMap, BTreeSet};

use toom_core::client::io::{Output, Side, Start};
use toom_core::id::{ConnectionId, OfferId};
use toom_core::wire::codec::{LENGTH_BYTES, encode};
use toom_core::wire::message::{Event, OfferEnd, ReplyBody, RequestBody};

use super::conference::{Part, event, reply};
use super::model::Model;
use super::{Broken, Observation, ensure};

/// Who is told.
pub const TOLD: &str =
    "offers: once an offer is answered, withdrawn or expired, or one of its ends has left, the other end is told";

/// Only who is offered a file knows what it is.
pub const SEALED: &str = "offers: what the server passes on has neither the file's name nor what both ends share";

/// Shorter ones are found in any bytes.
const TELLING_BYTES: usize = 8;

/// The offers that nobody has answered.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// The receiver of each offer that its sender does not know of yet.
    shown: BTreeMap<OfferId, ConnectionId>,
    open: BTreeMap<OfferId, Ends>,
    /// Those that were answered or withdrawn just now.
    done: BTreeSet<OfferId>,
    /// What the server passed on, encoded.
    passed: BTreeMap<OfferId, Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    sender: ConnectionId,
    receiver: ConnectionId,
}

impl Part for Offers {
    fn end_turn(&mut self, model: &Model) -> Result<(), Broken> {
        let is_there = |connection: ConnectionId| model.user(connection).is_some();
        self.open.retain(|_, ends| is_there(ends.sender) || is_there(ends.receiver));
        let done = core::mem::take(&mut self.done);
        let over = |(offer, ends): &(&OfferId, &Ends)| {
            done.contains(*offer) || !is_there(ends.sender) || !is_there(ends.receiver)
        };
        let untold = self.open.iter().find(over);
        ensure(untold.is_none(), TOLD, || format!("nobody was told of the end of {untold:?}"))
    }

    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        if let Observation::ServerEnds(_) = what {
            *self = Offers::default();
        }
        match event(what) {
            Some((to, event @ Event::Offer { offer, .. })) => {
                self.passed.insert(*offer, encode(event).to_vec());
                self.shown.extend(to.iter().map(|receiver| (*offer, *receiver)));
            }
            Some((to, Event::OfferAccepted { offer, .. })) => {
                return self.ended(*offer, to, |ends| vec![ends.sender], model);
            }
            Some((to, Event::OfferEnded { offer, reason })) => {
                let who = |ends: Ends| match reason {
                    OfferEnd::Rejected => vec![ends.sender],
                    OfferEnd::Withdrawn => vec![ends.receiver],
                    OfferEnd::UserLeft | OfferEnd::Expired => vec![ends.sender, ends.receiver],
                };
                return self.ended(*offer, to, who, model);
            }
            _ => {}
        }
        if let Observation::ClientSays(_, Output::Start(start)) = what {
            self.is_sealed(start)?;
        }
        if let Some(([connection], reply)) = reply(what) {
            self.replied(model, *connection, &reply.body);
        }
        Ok(())
    }
}

impl Offers {
    fn replied(&mut self, model: &Model, connection: ConnectionId, body: &ReplyBody) {
        let asked = model.turn.answered.as_ref().map(|it| &it.body);
        match (body, asked) {
            (ReplyBody::Offered { offer }, _) => {
                if let Some(receiver) = self.shown.remove(offer) {
                    self.open.insert(*offer, Ends { sender: connection, receiver });
                }
            }
            (ReplyBody::Done, Some(RequestBody::AnswerOffer { offer, .. } | RequestBody::WithdrawOffer { offer })) => {
                self.done.insert(*offer);
            }
            _ => {}
        }
    }

    fn is_sealed(&self, start: &Start) -> Result<(), Broken> {
        let Some(passed) = self.passed.get(&start.transfer) else { return Ok(()) };
        let secret = &start.agreement.shared;
        let mut hidden = vec![secret.0.to_vec(), encode(secret)[LENGTH_BYTES..].to_vec()];
        if let Side::Receive { label, .. } = &start.side {
            hidden.push(label.as_str().as_bytes().to_vec());
        }
        let open = hidden.iter().filter(|it| it.len() >= TELLING_BYTES).find(|it| contains(passed, it));
        ensure(open.is_none(), SEALED, || format!("{start:?} was passed on as {passed:?}"))
    }

    /// The end of an offer is told to `to`; of those who must be told, whoever is there must be among them.
    fn ended(
        &mut self,
        offer: OfferId,
        to: &[ConnectionId],
        who: impl Fn(Ends) -> Vec<ConnectionId>,
        model: &Model,
    ) -> Result<(), Broken> {
        let Some(ends) = self.open.remove(&offer) else { return Ok(()) };
        let told: BTreeSet<ConnectionId> = to.iter().copied().collect();
        let mut must = who(ends);
        must.retain(|connection| model.user(*connection).is_some());
        ensure(told == must.iter().copied().collect(), TOLD, || {
            format!("the end of {offer} is told to {told:?}, not to {must:?}")
        })
    }
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, name};
    use super::*;
    use toom_core::client::io::Destination;
    use toom_core::id::PeerIndex;
    use toom_core::secure::{PeerAgreement, PeerSecret, PublicKey, SealedOffer};
    use toom_core::server::io::Output as ServerOutput;
    use toom_core::text::FileLabel;
    use toom_core::wire::message::ServerMessage;

    /// `a` and `b`, with the offers 1 to 4 from one to the other.
    fn stage() -> (Stage, [ConnectionId; 2]) {
        let mut stage = Stage::new(&["a", "b"]);
        let [a, b] = stage.all(["a", "b"]);
        for _ in 0..4 {
            let (device, index) = (PublicKey([b.0 as u8; 32]), PeerIndex(1));
            let sealed = SealedOffer::new(vec![7; 300]).expect("few bytes");
            stage.ask(a, RequestBody::Offer { to: "b".to_owned(), device, index, sealed });
        }
        (stage, [a, b])
    }

    fn is_end(output: &ServerOutput) -> bool {
        let ServerOutput::Send { message: ServerMessage::Event(event), .. } = output else { return false };
        matches!(event, Event::OfferEnded { .. } | Event::OfferAccepted { .. })
    }

    fn answer(offer: u64, index: Option<PeerIndex>) -> RequestBody {
        RequestBody::AnswerOffer { offer: OfferId(offer), index }
    }

    fn starts(stage: &mut Stage, secret: [u8; 32], label: &str) {
        let side = Side::Receive { from: name("a"), label: FileLabel::new(label), into: Destination::File };
        let shared = PeerSecret(secret);
        let agreement = PeerAgreement {
            remote: PublicKey([1; 32]),
            shared,
            context: [0; 32],
            suite: toom_core::secure::Suite::AesGcm,
        };
        let remote = ([127, 0, 0, 1], 1).into();
        let (local_index, remote_index) = (PeerIndex(1), PeerIndex(2));
        let start = Start {
            transfer: OfferId(1),
            remote,
            local_index,
            remote_index,
            agreement,
            bytes: Some(1),
            listing: None,
            side,
        };
        stage.tell(&Observation::ClientSays(0, &Output::Start(start)));
    }

    #[test]
    fn what_is_not_sealed_is_found() {
        let secret: [u8; 32] = core::array::from_fn(|place| 200 + place as u8);
        for (said, broken) in [
            (b"something else".to_vec(), None),
            (b"the plans of the death star".to_vec(), Some(SEALED)),
            (secret.to_vec(), Some(SEALED)),
            (encode(&PeerSecret(secret)).to_vec(), Some(SEALED)),
        ] {
            let mut stage = Stage::new(&["a", "b"]);
            let [a, b] = stage.all(["a", "b"]);
            let (device, index) = (PublicKey([b.0 as u8; 32]), PeerIndex(1));
            let sealed = SealedOffer::new(said).expect("few bytes");
            stage.ask(a, RequestBody::Offer { to: "b".to_owned(), device, index, sealed });
            starts(&mut stage, secret, "plans of the death star");
            assert_eq!(stage.broken(), broken);
        }
    }

    #[test]
    fn what_the_server_says_is_right() {
        for leaves in 0..2 {
            let (mut stage, ends) = stage();
            stage.ask(ends[1], answer(1, Some(PeerIndex(2))));
            stage.ask(ends[1], answer(2, None));
            stage.ask(ends[0], RequestBody::WithdrawOffer { offer: OfferId(3) });
            stage.ask(ends[0], RequestBody::WithdrawOffer { offer: OfferId(3) });
            stage.disconnect(ends[leaves]);
            stage.disconnect(ends[1 - leaves]);
            assert_eq!((stage.broken(), stage.finish()), (None, None));
        }
    }

    #[test]
    fn an_end_that_is_told_to_nobody_is_found() {
        let ends: [fn(&mut Stage, [ConnectionId; 2]); 5] = [
            |stage, [_, b]| stage.ask(b, answer(1, Some(PeerIndex(2)))),
            |stage, [_, b]| stage.ask(b, answer(2, None)),
            |stage, [a, _]| stage.ask(a, RequestBody::WithdrawOffer { offer: OfferId(3) }),
            |stage, [a, _]| stage.disconnect(a),
            |stage, [_, b]| stage.disconnect(b),
        ];
        for end in ends {
            let (mut stage, people) = stage();
            stage.tamper(|out| out.retain(|output| !is_end(output)));
            end(&mut stage, people);
            assert_eq!(stage.broken(), Some(TOLD));
        }
    }

    #[test]
    fn an_end_that_is_told_to_the_wrong_one_is_found() {
        let (mut stage, [a, b]) = stage();
        stage.tamper_events(move |to, event| {
            if let Event::OfferEnded { .. } = event {
                *to = vec![b];
            }
        });
        stage.ask(b, answer(1, None));
        assert_eq!((stage.broken(), a), (Some(TOLD), ConnectionId(1)));
    }
}
