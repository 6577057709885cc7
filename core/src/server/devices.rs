//! The devices of each account. Who has which is in the log, so that people can compare keys across restarts.

use super::activity::Activity;
use super::fact::Fact;
use super::machine::Server;
use super::pending::{MAX_PROPOSALS, Proposal};
use super::turn::Turn;
use crate::name::UserName;
use crate::secure::PublicKey;
use crate::wire::message::{Devices, Refusal, ReplyBody};

impl Server {
    /// Somebody has logged in from a device: a new one is put in the log. Nobody waits for it, and if that fails, it is
    /// new at the next login again.
    pub(super) fn meet_device(&mut self, turn: &mut Turn<'_>, name: UserName, device: PublicKey) {
        let known = self.conference.accounts.devices(&name).contains(&device);
        if !known && self.pending.proposals.len() < MAX_PROPOSALS {
            let at = turn.wall;
            self.propose(turn, Proposal::Unasked, Fact::DeviceAdded { name, device, at });
        }
    }

    /// The keys of an account's devices, and that of its session, in order.
    pub(super) fn devices_of(&self, user: &UserName) -> Vec<PublicKey> {
        let session = self.sessions.get(user).map(|it| it.device);
        let mut keys: Vec<PublicKey> = self.conference.accounts.devices(user).iter().copied().chain(session).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// The answer to who asks for somebody's devices.
    pub(super) fn list_devices(
        &self,
        turn: &mut Turn<'_>,
        asker: &UserName,
        user: &str,
        offering: bool,
    ) -> Result<ReplyBody, Refusal> {
        let user = self.find_user(user)?;
        let active = self.sessions.get(&user).map(|it| it.device);
        if offering && user == *asker {
            return Err(Refusal::Oneself);
        }
        if offering && active.is_none() {
            return Err(Refusal::UserOffline(vec![user]));
        }
        let keys = self.devices_of(&user);
        // An offer follows, and is told; and who compares keys asks for their own, too.
        if !offering && user != *asker {
            turn.activity(Activity::ListedDevices { user: asker.clone(), of: user.clone(), devices: keys.len() });
        }
        Ok(ReplyBody::Devices(Devices { user, keys, active }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::id::ConnectionId;
    use crate::wire::limits::MAX_DEVICES_PER_USER;
    use crate::wire::message::RequestBody;

    fn ask(user: &str) -> RequestBody {
        RequestBody::Devices { user: text(user), offering: false }
    }

    fn devices(world: &mut World, asker: ConnectionId, user: &str) -> (Vec<PublicKey>, Option<PublicKey>) {
        match world.ask(asker, ask(user)) {
            ReplyBody::Devices(Devices { user: whose, keys, active }) if whose == name(user) => (keys, active),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_device_is_remembered_once_across_restarts() {
        let mut world = World::new(&["a", "b"]);
        let [a, b] = world.login_all(["a", "b"]);
        assert_eq!(devices(&mut world, a, "b"), (vec![device(b)], Some(device(b))));
        world.disconnect(b);
        assert_eq!(devices(&mut world, a, "b"), (vec![device(b)], None));
        let again = world.login("b");
        assert_eq!(devices(&mut world, a, "b"), (vec![device(b), device(again)], Some(device(again))));
        let facts = world.log.len();
        world.restart();
        let c = world.login_on("b", b);
        assert_eq!(devices(&mut world, c, "b"), (vec![device(b), device(again)], Some(device(b))));
        assert_eq!(world.log.len(), facts, "no device is new");
    }

    #[test]
    fn a_session_does_not_wait_for_the_log_and_is_listed_before() {
        let mut world = World::new(&["a"]);
        world.hold_proposals = true;
        let a = world.login("a");
        assert_eq!(devices(&mut world, a, "a"), (vec![device(a)], Some(device(a))));
        world.fail_proposals();
        assert_eq!(devices(&mut world, a, "a"), (vec![device(a)], Some(device(a))));
        world.hold_proposals = false;
        let unknown = ReplyBody::Refused(Refusal::NoSuchUser(vec![text("x")]));
        assert_eq!(world.ask(a, ask("x")), unknown);
    }

    #[test]
    fn who_asks_is_told_to_the_operator_as_the_command_that_it_is() {
        let mut world = World::new(&["a", "b", "c"]);
        let [a, _] = world.login_all(["a", "b"]);
        for user in ["a", "b"] {
            devices(&mut world, a, user);
        }
        let listed = |of: &str| Activity::ListedDevices { user: name("a"), of: name(of), devices: 1 };
        assert_eq!(world.activities, [listed("b")]);
        world.forget();
        let offering = |user: &str| RequestBody::Devices { user: text(user), offering: true };
        assert!(matches!(world.ask(a, offering("b")), ReplyBody::Devices(_)));
        assert_eq!(world.activities, [], "the offer is told");
        for (body, command, refusal) in [
            (offering("c"), "UPD", Refusal::UserOffline(vec![name("c")])),
            (offering("a"), "UPD", Refusal::Oneself),
            (offering("x"), "UPD", Refusal::NoSuchUser(vec![text("x")])),
            (ask("x"), "VERIFY", Refusal::NoSuchUser(vec![text("x")])),
        ] {
            world.forget();
            assert_eq!(world.ask(a, body), ReplyBody::Refused(refusal.clone()));
            assert_eq!(world.activities, [Activity::Refused { user: name("a"), command, refusal }]);
        }
    }

    #[test]
    fn the_oldest_device_is_forgotten_first_and_a_removed_account_has_none() {
        let mut world = World::new(&["a", "b"]);
        let b = world.login("b");
        let at = world.wall;
        let added = |number: usize| Fact::DeviceAdded { name: name("a"), device: PublicKey([number as u8; 32]), at };
        for number in 1..=MAX_DEVICES_PER_USER + 1 {
            world.commit(added(number));
            world.commit(added(number));
        }
        let (keys, active) = devices(&mut world, b, "a");
        assert_eq!((keys.len(), keys[0], active), (MAX_DEVICES_PER_USER, PublicKey([2; 32]), None));
        world.commit(Fact::AccountRemoved { name: name("a") });
        world.add_account("a");
        assert_eq!(devices(&mut world, b, "a"), (vec![], None));
    }
}
