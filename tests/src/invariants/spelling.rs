//! Names as people type them.

use unicode_normalization::UnicodeNormalization;

/// The one spelling that an account has of what somebody typed: normalisation form C (Unicode annex 15).
pub fn spelled(typed: &str) -> String {
    typed.nfc().collect()
}
