//! Logins with the right password, from the device on which the user is active: the client there is asked whether it is
//! still there, and the login waits for its word.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use toom_core::id::{ConnectionId, RequestId};
use toom_core::name::UserName;
use toom_core::secure::PasswordHash;
use toom_core::server::io::Input;
use toom_core::time::Instant;
use toom_core::wire::message::{LoginRefusal, ReplyBody, RequestBody};

use super::super::model::Sessions;
use super::super::{Broken, ensure};

/// The same device.
pub(super) const SAME_DEVICE: &str = "login: the right password from the device of a session takes its place if its client is \
                               gone or says nothing for two seconds, and only then";

/// How long a client may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// All that wait, by user.
#[derive(Debug, Default)]
pub(super) struct Fences {
    waiting: BTreeMap<UserName, Fence>,
    /// Users whose client has just said that it is there.
    there: BTreeSet<UserName>,
    /// Users who have no connection.
    gone: BTreeSet<UserName>,
}

/// One that waits.
#[derive(Clone, Debug)]
pub(super) struct Fence {
    pub(super) connection: ConnectionId,
    pub(super) request: RequestId,
    pub(super) since: Instant,
    /// With which its password was compared.
    pub(super) hash: Option<PasswordHash>,
}

impl Fences {
    pub(super) fn is_waiting(&self, user: &UserName) -> bool {
        self.waiting.contains_key(user)
    }

    pub(super) fn wait(&mut self, user: &UserName, fence: Fence) {
        self.waiting.insert(user.clone(), fence);
    }

    /// The connection of a login is gone.
    pub(super) fn gone(&mut self, connection: ConnectionId) {
        self.waiting.retain(|_, fence| fence.connection != connection);
    }

    /// The login that is answered.
    pub(super) fn take(&mut self, connection: ConnectionId, request: RequestId) -> Option<(UserName, Fence)> {
        let is_it = |fence: &Fence| (fence.connection, fence.request) == (connection, request);
        let user = self.waiting.iter().find(|(_, fence)| is_it(fence)).map(|(user, _)| user.clone())?;
        self.waiting.remove_entry(&user)
    }

    /// The server is about to hear something: none has waited longer than it may.
    pub(super) fn hears(&mut self, now: Instant, input: &Input<'_>, sessions: &Sessions) -> Result<(), Broken> {
        let late = self.waiting.iter().find(|(_, fence)| now > fence.since + PATIENCE);
        ensure(late.is_none(), SAME_DEVICE, || format!("{late:?} still waits"))?;
        self.there.clear();
        if let Input::Request { connection, request, .. } = input
            && !matches!(request.body, RequestBody::Logout)
        {
            self.there.extend(sessions.on(*connection).cloned());
        }
        self.gone = self.waiting.keys().filter(|user| sessions.connection(user).is_none()).cloned().collect();
        Ok(())
    }

    /// Whether this was the time for this answer.
    pub(super) fn judge(
        &self,
        now: Instant,
        user: &UserName,
        fence: &Fence,
        body: &ReplyBody,
        hash: Option<&PasswordHash>,
    ) -> Result<(), Broken> {
        let right = match body {
            ReplyBody::Welcome { .. } => {
                let silent = now >= fence.since + PATIENCE || self.gone.contains(user);
                silent && fence.hash.as_ref() == hash
            }
            // The password, or the account, may be another one by now.
            ReplyBody::LoginFailed(LoginRefusal::AlreadyActive) => self.there.contains(user),
            ReplyBody::LoginFailed(LoginRefusal::InvalidCredentials) => fence.hash.as_ref() != hash,
            _ => false,
        };
        ensure(right, SAME_DEVICE, || format!("{user} is answered {body:?} at {now:?}: {fence:?}, {self:?}"))
    }
}
