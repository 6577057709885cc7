//! Random people and random servers.

use proptest::prelude::*;

use super::*;
