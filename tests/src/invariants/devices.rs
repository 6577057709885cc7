//! The devices of accounts: what is in the log, and what people are told of it.

use toom_core::name::UserName;
use toom_core::secure::PublicKey;
use toom_core::server::fact::Fact;
use toom_core::server::io::Output;
use toom_core::wire::message::{Event, ReplyBody};

use super::conference::{Part, event, reply};
use super::model::Model;
use super::{Broken, Observation, ensure};

/// So that people can compare them later.
pub const REMEMBERED: &str =
    "devices: one is put in the log when somebody logs in from it for the first time, and only then";
/// Nobody's key is hidden, and none is made up.
pub const TOLD: &str = "devices: the server tells all devices of an account, that of its session, and no others";

/// Who has logged in on a new device, until it is proposed.
#[derive(Debug, Default)]
pub(super) struct Devices {
    new: Option<(UserName, PublicKey)>,
}

impl Part for Devices {
    fn end_turn(&mut self, _: &Model) -> Result<(), Broken> {
        let new = self.new.take();
        ensure(new.is_none(), REMEMBERED, || format!("nobody remembers {new:?}"))
    }

    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        if let Observation::ServerStarts { .. } | Observation::ServerEnds(_) = what {
            self.new = None;
        }
        if let Observation::ServerSays(Output::Propose { fact: Fact::DeviceAdded { name, device, at }, .. }) = what {
            let expected = self.new.take();
            let right = expected.as_ref() == Some(&(name.clone(), *device)) && Some(*at) == model.turn.wall;
            ensure(right, REMEMBERED, || format!("{device} of {name} is proposed, not {expected:?}"))?;
        }
        if let Some((_, Event::Offer { from, device, keys, .. })) = event(what) {
            ensure(session(model, from) == Some(*device), TOLD, || format!("{from} is said to offer on {device}"))?;
            told(model, from, keys)?;
        }
        match reply(what).map(|(_, reply)| &reply.body) {
            Some(ReplyBody::Welcome { user, .. }) => {
                let device = session(model, user).filter(|it| !model.conference.devices(user).contains(it));
                self.new = device.map(|device| (user.clone(), device));
            }
            Some(ReplyBody::Devices(devices)) => {
                let active = session(model, &devices.user);
                ensure(devices.active == active, TOLD, || format!("{devices:?}, and active is {active:?}"))?;
                told(model, &devices.user, &devices.keys)?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn session(model: &Model, user: &UserName) -> Option<PublicKey> {
    Some(model.sessions.get(user)?.device)
}

fn told(model: &Model, user: &UserName, keys: &[PublicKey]) -> Result<(), Broken> {
    let mut all = model.conference.devices(user).to_vec();
    all.extend(session(model, user).filter(|device| !all.contains(device)));
    all.sort();
    ensure(keys == all, TOLD, || format!("{user} is said to have {keys:?}, and has {all:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, name};
    use super::*;
    use toom_core::id::PeerIndex;
    use toom_core::secure::SealedOffer;
    use toom_core::wire::message::RequestBody;

    fn offer(to: &str, device: PublicKey) -> RequestBody {
        let sealed = SealedOffer::new(vec![1]).expect("few bytes");
        RequestBody::Offer { to: to.into(), device, index: PeerIndex(1), sealed }
    }

    fn devices(user: &str) -> RequestBody {
        RequestBody::Devices { user: user.into(), offering: false }
    }

    #[test]
    fn what_the_server_says_is_right() {
        let mut stage = Stage::new(&["a", "b"]);
        let [a, b] = stage.all(["a", "b"]);
        stage.disconnect(b);
        let [b] = stage.all(["b"]);
        stage.ask(a, offer("b", PublicKey([b.0 as u8; 32])));
        for user in ["a", "b", "c"] {
            stage.ask(a, devices(user));
        }
        stage.restart();
        let [a] = stage.all(["a"]);
        stage.ask(a, devices("b"));
        assert_eq!(stage.broken(), None);
    }

    #[test]
    fn a_device_that_is_not_remembered_is_found() {
        let mut stage = Stage::new(&["a"]);
        stage.tamper(|out| out.retain(|output| !matches!(output, Output::Propose { .. })));
        stage.all(["a"]);
        assert_eq!(stage.broken(), Some(REMEMBERED));
    }

    #[test]
    fn a_device_that_is_not_theirs_is_found() {
        let mut stage = Stage::new(&["a"]);
        stage.tamper(|out| {
            for output in out {
                if let Output::Propose { fact: Fact::DeviceAdded { device, .. }, .. } = output {
                    *device = PublicKey([99; 32]);
                }
            }
        });
        stage.all(["a"]);
        assert_eq!(stage.broken(), Some(REMEMBERED));
    }

    #[test]
    fn a_list_that_is_wrong_is_found() {
        let wrong: [fn(&mut Vec<PublicKey>); 3] =
            [|keys| keys.clear(), |keys| keys.push(PublicKey([99; 32])), |keys| keys[0] = PublicKey([99; 32])];
        for wrong in wrong {
            let mut stage = Stage::new(&["a"]);
            let [a] = stage.all(["a"]);
            stage.tamper_replies(move |body| {
                if let ReplyBody::Devices(devices) = body {
                    wrong(&mut devices.keys);
                }
            });
            stage.ask(a, devices("a"));
            assert_eq!(stage.broken(), Some(TOLD));
            let mut stage = Stage::new(&["a", "b"]);
            let [a, b] = stage.all(["a", "b"]);
            stage.tamper_events(move |_, event| {
                if let Event::Offer { keys, .. } = event {
                    wrong(keys);
                }
            });
            stage.ask(a, offer("b", PublicKey([b.0 as u8; 32])));
            assert_eq!(stage.broken(), Some(TOLD));
        }
    }

    #[test]
    fn somebody_else_s_device_is_found() {
        let mut stage = Stage::new(&["a", "b"]);
        let [a, _] = stage.all(["a", "b"]);
        stage.tamper_replies(|body| {
            if let ReplyBody::Devices(devices) = body {
                devices.user = name("a");
            }
        });
        stage.ask(a, devices("b"));
        assert!(stage.broken().is_some());
    }
}
