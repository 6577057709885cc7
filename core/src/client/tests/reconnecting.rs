//! The session outlives its connection.

use super::*;
use crate::client::event::Failure;
