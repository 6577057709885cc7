//! What people make of what they are told.

use core::time::Duration;

use toom_core::client::event::{Direction, Event, Failure, PostKind, TransferState};
use toom_core::wire::message::{HistoryKind, LoginRefusal, PastMessage};

use super::person::State;
use super::stage::{Later, Phase, Stage};
use super::task::Task;

/// Who is active already tries again after this time: it may be a dead connection that the server has not noticed.
const ACTIVE_ELSEWHERE: Duration = Duration::from_secs(5);
/// Who was refused asks again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Who waits for the end of transfers looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl Stage {
    /// A person is told something by their client, maybe not their newest one.
    pub(super) fn hear(&mut self, number: usize, newest: bool, event: Event) {
        if let Event::DirectMessage { text, .. } = &event {
            self.shown.insert(text.clone());
        }
        if !newest {
            return;
        }
        let person = &mut self.people[number];
        match event {
            Event::Welcome { user, .. } if user.as_str() == person.name => {
                person.state = State::LoggedIn;
                person.returns = 0;
            }
            Event::Welcome { .. } => {
                person.state = State::Disguised;
                self.drop_disguise(number);
            }
            Event::LoginFailed(refusal) => self.login_failed(number, refusal),
            Event::Bye { .. } if self.phase != Phase::Liveness => {
                person.state = State::Gone;
                person.offers.clear();
                self.has_left(number);
            }
            Event::Bye { .. } => self.client_is_gone(number),
            Event::ConnectionLost { .. } => {
                self.client_is_gone(number);
                self.has_left(number);
            }
            Event::Offer { id, .. } => {
                person.offers.push(id);
                person.transfers.push(id);
            }
            Event::Transfer(transfer) => {
                let ours = transfer.direction == Direction::Out && transfer.state == TransferState::Starting;
                if ours {
                    person.transfers.push(transfer.id);
                }
            }
            Event::Transfers(all) => self.progress(number, Task::Transfers, all.is_empty()),
            Event::Sent { kind: PostKind::Broadcast, .. } => self.progress(number, Task::LastWord, true),
            Event::History { kind, messages } => self.read(number, kind, messages),
            Event::Error(failure) => self.failed(number, &failure),
            _ => {}
        }
    }

    /// Somebody read messages. What they read for a task is compared later.
    fn read(&mut self, number: usize, kind: HistoryKind, messages: Vec<PastMessage>) {
        let task = match kind {
            HistoryKind::Broadcast => Task::Broadcasts,
            HistoryKind::Rooms => Task::Rooms,
        };
        let person = &mut self.people[number];
        if person.asking.task == Some(task) && person.asking.asked {
            person.read.insert(kind, messages);
        }
        self.progress(number, task, true);
    }

    fn login_failed(&mut self, number: usize, refusal: LoginRefusal) {
        let after = match refusal {
            LoginRefusal::InvalidCredentials | LoginRefusal::SessionOver => ASK_AGAIN,
            LoginRefusal::AlreadyActive => ACTIVE_ELSEWHERE,
            LoginRefusal::Blocked { retry_after_ms } | LoginRefusal::Busy { retry_after_ms } => {
                Duration::from_millis(retry_after_ms)
            }
        };
        self.may_come_back(number, after);
    }

    /// A command failed. Of those that a task asked for, the first tells that all before it is answered, and the
    /// others are asked again.
    fn failed(&mut self, number: usize, failure: &Failure) {
        let asking = &self.people[number].asking;
        match (asking.task, failure) {
            (Some(Task::Settle), Failure::NoSuchUser(users)) if users[..] == [self.marker(number)] => {
                self.progress(number, Task::Settle, true);
            }
            (Some(task @ (Task::LastWord | Task::Broadcasts | Task::Rooms)), _) if asking.asked => {
                self.progress(number, task, false);
            }
            _ => {}
        }
    }

    /// Somebody has left, which may have been their task.
    fn has_left(&mut self, number: usize) {
        let asking = &mut self.people[number].asking;
        asking.task.take_if(|task| *task == Task::Leave);
    }

    /// Somebody's task was answered: it is done, or must be asked for again.
    fn progress(&mut self, number: usize, task: Task, done: bool) {
        let asking = &mut self.people[number].asking;
        if asking.task != Some(task) || !asking.asked {
            return;
        }
        if done {
            asking.task = None;
            asking.asked = false;
        } else {
            let after = if task == Task::Transfers { LOOK_AGAIN } else { ASK_AGAIN };
            self.later(after, Later::AskAgain(number));
        }
    }
}
