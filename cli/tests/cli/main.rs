//! The binary as people and scripts meet it: processes, their output, and their exit codes.

mod accounts;
mod command_line;
mod conversation;
mod folders;
mod hostile_text;
mod login;
mod maintenance;
mod moving;
mod oneshot;
mod reconnecting;
mod run;
mod service;
mod stalling;
mod streams;
mod task;
mod terminal;
mod trust;
mod verify;
