//! `VERIFY`: two people compare a number, and from then on know each other's keys, whatever the server says.

use super::commands::fail;
use super::event::{Event, Failure};
use super::io::Output;
use super::people::{MAX_KEYS_PER_PERSON, Presented};
use super::requests::{Asked, Wanted};
use super::session::Client;
use crate::name::{UserName, normalised};
use crate::secure::{AccountKeys, PublicKey, SafetyNumber};
use crate::wire::message::{Devices, RequestBody};

impl Client {
    /// Asks for their keys first, then for one's own, as the server tells them to others.
    pub(super) fn start_verifying(&mut self, user: &str, confirm: bool, out: &mut Vec<Output>) {
        let Ok(name) = UserName::new(user).or_else(|_| UserName::read(user)) else {
            return fail(Failure::NoSuchUser(vec![user.to_owned()]), out);
        };
        self.ask_devices(&name, Wanted::Theirs { user: name.clone(), confirm }, out);
    }

    pub(super) fn ask_devices(&mut self, user: &UserName, wanted: Wanted, out: &mut Vec<Output>) {
        let offering = matches!(wanted, Wanted::Receiver { .. });
        self.requests.ask(RequestBody::Devices { user: user.to_string(), offering }, Asked::Devices(wanted), out);
    }

    pub(super) fn devices_told(&mut self, wanted: Wanted, devices: Devices, out: &mut Vec<Output>) {
        let Some(own) = self.user.clone() else { return };
        let about = match &wanted {
            Wanted::Receiver { user } | Wanted::Theirs { user, .. } => user,
            Wanted::Own { .. } => &own,
        };
        let active = devices.active.is_none_or(|key| devices.keys.contains(&key));
        // As typed and as the account has it: the same name, maybe spelled with other characters.
        let same = normalised(devices.user.as_str()) == normalised(about.as_str());
        if !same || !active || !are_keys(&devices.keys) {
            self.broken_devices(&wanted, out);
            return;
        }
        match wanted {
            Wanted::Receiver { .. } => self.receiver_known(&devices, out),
            Wanted::Theirs { .. } if devices.user == own => fail(Failure::Oneself, out),
            Wanted::Theirs { .. } if devices.keys.is_empty() => fail(Failure::NoDevices(devices.user), out),
            Wanted::Theirs { confirm, .. } => {
                let user = devices.user;
                self.ask_devices(&own, Wanted::Own { user, keys: devices.keys, confirm }, out);
            }
            Wanted::Own { user, keys, confirm } => self.verify(&user, &keys, &devices, confirm, out),
        }
    }

    /// Shows the number of both people's keys, or remembers theirs.
    fn verify(&mut self, user: &UserName, keys: &[PublicKey], own: &Devices, confirm: bool, out: &mut Vec<Output>) {
        // Who posed as this person would have to hide their key.
        if !own.keys.contains(&self.public) {
            return fail(Failure::OwnKeyMissing, out);
        }
        let number =
            SafetyNumber::of(AccountKeys { name: user, keys }, AccountKeys { name: &own.user, keys: &own.keys });
        if confirm {
            // What is confirmed must be what was compared.
            if self.people.last_shown(user).is_some_and(|shown| shown != number) {
                return fail(Failure::SafetyNumberChanged(user.clone()), out);
            }
            let Some(person) = self.people.verify(user, keys) else {
                return fail(Failure::LimitReached("people who can be remembered".to_owned()), out);
            };
            out.push(Output::Remember(person));
        }
        self.people.show(user, number);
        out.push(Output::Event(Event::SafetyNumber {
            user: user.clone(),
            number,
            devices: keys.len(),
            own_devices: own.keys.len(),
            verified: self.people.is_verified(user, keys),
        }));
    }

    /// Somebody presents a key; whether it may be used.
    pub(super) fn key_presented(
        &mut self,
        user: &UserName,
        key: PublicKey,
        listed: &[PublicKey],
        out: &mut Vec<Output>,
    ) -> bool {
        match self.people.present(user, key, listed) {
            Presented::Known => true,
            Presented::Met(person) => {
                out.push(Output::Remember(person));
                true
            }
            Presented::Changed(person) => {
                out.push(Output::Remember(person));
                out.push(Output::Event(Event::PeerKeyChanged { user: user.clone(), key, verified: false }));
                true
            }
            Presented::Refused => false,
        }
    }

    fn broken_devices(&mut self, wanted: &Wanted, out: &mut Vec<Output>) {
        if !matches!(wanted, Wanted::Receiver { .. }) {
            fail(Failure::ConnectionLost, out);
        }
        self.broken("a list of devices that is none", out);
    }
}

/// Whether these are the keys of an account, as the server tells them.
pub(super) fn are_keys(keys: &[PublicKey]) -> bool {
    keys.len() <= MAX_KEYS_PER_PERSON && keys.is_sorted_by(|a, b| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_an_account_rise_and_are_not_too_many() {
        let key = |number: usize| PublicKey([number as u8; 32]);
        let keys = |count: usize| (0..count).map(key).collect::<Vec<_>>();
        for (given, expected) in [
            (vec![], true),
            (keys(MAX_KEYS_PER_PERSON), true),
            (keys(MAX_KEYS_PER_PERSON + 1), false),
            (vec![key(2), key(1)], false),
            (vec![key(1), key(1)], false),
        ] {
            assert_eq!(are_keys(&given), expected, "{given:?}");
        }
    }
}
