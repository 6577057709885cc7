//! Remote text on its way to a terminal, a log or a file name: the one place where it is made harmless.

mod escape;
mod file_name;
mod hidden;
mod log_field;
mod terminal;

pub use file_name::{FileLabel, MAX_FILE_NAME_BYTES, received_name};
pub use hidden::{is_control, is_default_ignorable, is_unprintable};
pub use log_field::{escape_log_field, unescape_log_field};
pub use terminal::{printable, printable_lines};
