//! The conference is compared with its reference model: one model, and beside it what each kind of invariant
//! keeps in mind.

use toom_core::server::io::Output;
use toom_core::wire::message::{Event, Reply, ServerMessage};

use super::answers::Answers;
use super::devices::Devices;
use super::direct::Direct;
use super::facts::Facts;
use super::history::History;
use super::messages::Messages;
use super::model::Model;
use super::offers::Offers;
use super::presence::Presence;
use super::replies::Replies;
use super::rooms::Rooms;
use super::sessions::Sessions;
use super::shown::Shown;
use super::{Broken, Checker, Moment, Observation};

/// Compares the conference with its model.
#[derive(Debug, Default)]
pub struct Conference {
    model: Model,
    facts: Facts,
    presence: Presence,
    rooms: Rooms,
    replies: Replies,
    messages: Messages,
    direct: Direct,
    history: History,
    offers: Offers,
    devices: Devices,
    shown: Shown,
    sessions: Sessions,
    answers: Answers,
}

/// The checks of one kind of invariant. All see the model as it is after what happened.
pub(super) trait Part {
    /// The server is about to hear the next thing, or the run is over: all that had to come of the last one was said.
    fn end_turn(&mut self, model: &Model) -> Result<(), Broken> {
        let _ = model;
        Ok(())
    }

    /// Something happened.
    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken>;

    /// The run is over: all is healed, and everyone has read everything and is gone.
    fn finish(&mut self, model: &Model) -> Result<(), Broken> {
        let _ = model;
        Ok(())
    }
}

impl Conference {
    fn each(&mut self, mut ask: impl FnMut(&mut dyn Part, &Model) -> Result<(), Broken>) -> Result<(), Broken> {
        let parts: [&mut dyn Part; 12] = [
            &mut self.facts,
            &mut self.presence,
            &mut self.rooms,
            &mut self.replies,
            &mut self.messages,
            &mut self.direct,
            &mut self.history,
            &mut self.offers,
            &mut self.devices,
            &mut self.shown,
            &mut self.sessions,
            &mut self.answers,
        ];
        parts.into_iter().try_for_each(|part| ask(part, &self.model))
    }
}

impl Checker for Conference {
    fn observe(&mut self, at: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        if let Observation::ServerHears(_) = what {
            self.each(|part, model| part.end_turn(model))?;
        }
        self.model.follow(at.now, what);
        self.each(|part, model| part.observe(model, what))
    }

    fn finish(&mut self, _: Moment) -> Result<(), Broken> {
        self.each(|part, model| part.end_turn(model))?;
        self.each(|part, model| part.finish(model))
    }
}

/// An event, if the server says one.
pub(super) fn event<'a>(what: &'a Observation<'_>) -> Option<(&'a [toom_core::id::ConnectionId], &'a Event)> {
    match what {
        Observation::ServerSays(Output::Send { to, message: ServerMessage::Event(event) }) => Some((to, event)),
        _ => None,
    }
}

/// A reply, if the server says one.
pub(super) fn reply<'a>(what: &'a Observation<'_>) -> Option<(&'a [toom_core::id::ConnectionId], &'a Reply)> {
    match what {
        Observation::ServerSays(Output::Send { to, message: ServerMessage::Reply(reply) }) => Some((to, reply)),
        _ => None,
    }
}
