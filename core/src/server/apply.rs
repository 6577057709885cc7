//! Facts are applied in the order of the log: here they get their ids, numbers and times, may still be refused,
//! are answered, and are told to others.
//!
//! `asked` is the request that a fact came from, if it came from a connection of this server.

use super::activity::Activity;
use super::conference::Post;
use super::fact::{Fact, Message, PostId};
use super::io::{CloseReason, Output};
use super::machine::Server;
use super::pending::Asked;
use super::resumable::{PostAnswer, Resumable};
use super::rooms::NotBuilt;
use super::turn::Turn;
use crate::id::{MessageNumber, RoomId};
use crate::name::UserName;
use crate::wire::message::{Event, Refusal, ReplyBody, RoomInfo};

impl Server {
    pub(super) fn apply(&mut self, turn: &mut Turn<'_>, fact: Fact, asked: Option<&Asked>) {
        let done = match fact {
            Fact::AccountAdded { name, hash } => {
                if self.conference.accounts.add(name.clone(), hash, self.conference.applied) {
                    self.blocks.account_changed(name.as_str(), true);
                }
                Ok(())
            }
            Fact::PasswordChanged { name, hash } => {
                self.conference.accounts.change_password(&name, hash);
                self.end_fence(turn, &name);
                self.forget_over(&name);
                self.cannot_resume(turn, &name);
                Ok(())
            }
            Fact::AccountRemoved { name } => {
                self.apply_removal(turn, &name);
                Ok(())
            }
            Fact::Blocked { name, at } => {
                self.apply_block(turn, &name, at);
                Ok(())
            }
            Fact::Broadcast { from, text, at, id } => self.apply_post(turn, from.clone(), id, asked, |server, turn| {
                server.apply_broadcast(turn, Post { from, text, at }, asked)
            }),
            Fact::RoomBuilt { by, members, .. } => self.apply_room(turn, by, members, asked),
            Fact::RoomJoined { room, by, user, .. } => self.apply_join(turn, room, by, user, asked),
            Fact::RoomLeft { room, user, .. } => self.apply_leave(turn, room, user, asked),
            Fact::RoomMessage { room, from, text, at, id } => {
                self.apply_post(turn, from.clone(), id, asked, |server, turn| {
                    server.apply_room_message(turn, room, Post { from, text, at }, asked)
                })
            }
            Fact::DirectMessage { from, to, text, at, id } => {
                self.apply_post(turn, from.clone(), id, asked, |server, turn| {
                    server.apply_direct_message(turn, to, Post { from, text, at }, asked)
                })
            }
            Fact::DirectReceived { user, peer, through } => {
                self.apply_received(turn, &user, &peer, through, asked);
                Ok(())
            }
            Fact::SessionStarted { name, session, device, secret, at } => {
                let session = Resumable::new(session, device, secret, at);
                self.conference.accounts.start_session(&name, session);
                self.forget_over(&name);
                Ok(())
            }
            Fact::SessionEnded { name, session, at, resumable } => {
                self.conference.accounts.end_session(&name, session, at, resumable);
                self.forget_over(&name);
                Ok(())
            }
            Fact::OffersNumbered { through } => {
                self.apply_numbering(turn, through);
                Ok(())
            }
            Fact::DeviceAdded { name, device, .. } => {
                self.conference.accounts.add_device(&name, device);
                Ok(())
            }
        };
        if let (Err(refusal), Some(asked)) = (done, asked) {
            self.refuse(turn, asked, refusal);
        }
    }

    /// A post that was applied before is answered as it was then.
    fn apply_post(
        &mut self,
        turn: &mut Turn<'_>,
        from: UserName,
        id: Option<PostId>,
        asked: Option<&Asked>,
        apply: impl FnOnce(&mut Server, &mut Turn<'_>) -> Result<PostAnswer, Refusal>,
    ) -> Result<(), Refusal> {
        if let Some(answer) = id.and_then(|id| self.answer_to(&from, id)) {
            self.done(turn, asked, answer);
            return Ok(());
        }
        let done = apply(self, turn);
        if let Some(id) = id
            && let Some(session) = self.conference.accounts.session_mut(&from, id.session)
        {
            let answer = done.clone().unwrap_or_else(PostAnswer::Refused);
            session.remember(id.request, answer);
        }
        done.map(|_| ())
    }

    fn apply_broadcast(
        &mut self,
        turn: &mut Turn<'_>,
        post: Post,
        asked: Option<&Asked>,
    ) -> Result<PostAnswer, Refusal> {
        let message = self.conference.broadcast(post)?;
        self.record(turn, &message, asked);
        let Message { number, at, from, text, .. } = message;
        let event = Event::Broadcast { number, at, from: from.clone(), text: text.clone() };
        turn.event(self.hearing_broadcasts(&from), event);
        turn.activity(Activity::Broadcast { user: from, number, text, at });
        Ok(PostAnswer::Sent { number, at })
    }

    fn apply_room_message(
        &mut self,
        turn: &mut Turn<'_>,
        room: RoomId,
        post: Post,
        asked: Option<&Asked>,
    ) -> Result<PostAnswer, Refusal> {
        let message = self.conference.room_message(room, post)?;
        self.record(turn, &message, asked);
        let Message { number, at, from, text, .. } = message;
        let members = self.conference.rooms.members_for(room, &from)?;
        let event = Event::RoomMessage { room, number, at, from: from.clone(), text: text.clone() };
        turn.event(self.hearing_room(room, members, &from), event);
        turn.activity(Activity::RoomMessage { user: from, room, number, text, at });
        Ok(PostAnswer::Sent { number, at })
    }

    fn apply_direct_message(
        &mut self,
        turn: &mut Turn<'_>,
        to: UserName,
        post: Post,
        asked: Option<&Asked>,
    ) -> Result<PostAnswer, Refusal> {
        let message = self.conference.direct_message(&to, post)?;
        self.record(turn, &message, asked);
        self.deliver(turn, &message, &to);
        let Message { number, at, from, .. } = message;
        turn.activity(Activity::DirectMessage { user: from, to, number, at });
        Ok(PostAnswer::Sent { number, at })
    }

    fn apply_received(
        &mut self,
        turn: &mut Turn<'_>,
        user: &UserName,
        peer: &UserName,
        through: MessageNumber,
        asked: Option<&Asked>,
    ) {
        self.conference.direct.receive(user, peer, through);
        self.done(turn, asked, ReplyBody::Done);
        self.continue_delivery(turn, user);
    }

    fn apply_room(
        &mut self,
        turn: &mut Turn<'_>,
        by: UserName,
        members: Vec<UserName>,
        asked: Option<&Asked>,
    ) -> Result<(), Refusal> {
        let unknown = |name: &&UserName| self.conference.must_exist(name).is_err();
        let gone: Vec<String> = members.iter().chain([&by]).filter(unknown).map(UserName::to_string).collect();
        if !gone.is_empty() {
            return Err(Refusal::NoSuchUser(gone));
        }
        let members = members.into_iter().chain([by.clone()]).collect();
        match self.conference.rooms.build(&by, members) {
            Ok(room) => {
                if turn.recovering {
                    turn.out.push(Output::Activity(Activity::RoomKnown { room: room.room }));
                }
                self.done(turn, asked, ReplyBody::RoomCreated(room.clone()));
                turn.event(self.active_but(&room.members, &by), Event::RoomCreated(room.clone()));
                turn.activity(Activity::RoomBuilt { user: by, room });
                Ok(())
            }
            Err(NotBuilt::Exists(room)) => {
                if asked.is_some() {
                    self.done(turn, asked, ReplyBody::RoomExists(room.clone()));
                    turn.activity(Activity::RoomExists { user: by, room });
                }
                Ok(())
            }
            Err(NotBuilt::Refused(refusal)) => Err(refusal),
        }
    }

    fn apply_join(
        &mut self,
        turn: &mut Turn<'_>,
        room: RoomId,
        by: UserName,
        user: UserName,
        asked: Option<&Asked>,
    ) -> Result<(), Refusal> {
        self.conference.must_exist(&user)?;
        let info = self.conference.rooms.join(room, &by, &user)?;
        self.done(turn, asked, ReplyBody::Invited(info.clone()));
        turn.event(self.active_but([&user], &by), Event::RoomCreated(info.clone()));
        let others = info.members.iter().filter(|member| **member != by);
        turn.event(self.active_but(others, &user), Event::RoomChanged(info.clone()));
        turn.activity(Activity::Invited { user: by, invited: user, room });
        Ok(())
    }

    fn apply_leave(
        &mut self,
        turn: &mut Turn<'_>,
        room: RoomId,
        user: UserName,
        asked: Option<&Asked>,
    ) -> Result<(), Refusal> {
        let info = self.conference.rooms.leave(room, &user)?;
        self.done(turn, asked, ReplyBody::Left { room });
        self.tell_change(turn, info, &user);
        turn.activity(Activity::LeftRoom { user, room });
        Ok(())
    }

    fn apply_removal(&mut self, turn: &mut Turn<'_>, name: &UserName) {
        if !self.conference.accounts.remove(name) {
            return;
        }
        self.blocks.account_changed(name.as_str(), false);
        self.failed_logins.take(name);
        self.forget_budget(name);
        self.end_fence(turn, name);
        self.forget_over(name);
        self.conference.direct.remove_user(name);
        let left = self.conference.rooms.remove_user(name);
        self.cannot_resume(turn, name);
        if let Some(connection) = self.sessions.get(name).and_then(|it| it.connection) {
            self.close(turn, connection, CloseReason::AccountRemoved);
        }
        for info in left {
            self.tell_change(turn, info, name);
        }
    }

    fn tell_change(&self, turn: &mut Turn<'_>, info: RoomInfo, user: &UserName) {
        turn.event(self.active_but(&info.members, user), Event::RoomChanged(info));
    }

    fn record(&self, turn: &mut Turn<'_>, message: &Message, asked: Option<&Asked>) {
        turn.out.push(Output::Record(message.clone()));
        self.done(turn, asked, ReplyBody::Sent { number: message.number, at: message.at });
    }

    fn done(&self, turn: &mut Turn<'_>, asked: Option<&Asked>, body: ReplyBody) {
        if let Some(asked) = asked {
            self.answer(turn, asked, body);
        }
    }
}

#[cfg(test)]
mod tests;
