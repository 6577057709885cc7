//! Durations, sizes and addresses as people type them.

use std::time::Duration;

/// `10s`, `500ms`, `2m`, `1h`, `90d`; a number alone means seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration; say for instance 10s, 500ms or 2m");
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let millis: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
}

/// `1073741824`, `64MiB`, `1GiB`, `100MB`; a number alone means bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no size; say for instance 1048576, 64MiB or 100MB");
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let bytes: u64 = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(bytes).ok_or_else(wrong)
}

/// `100mbit`, `1gbit`, `64kbit`, in whatever case; a number alone means bits a second.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no rate; say for instance 100mbit, 1gbit or 1000000");
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let bits: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "bit" => 1,
        "kbit" => 1_000,
        "mbit" => 1_000_000,
        "gbit" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(bits).ok_or_else(wrong)
}

/// The port of a server that is named without one.
pub(crate) const DEFAULT_PORT: u16 = 4000;

/// `HOST` or `HOST:PORT` as `HOST:PORT`. An IPv6 address with a port has brackets.
pub(crate) fn parse_server(text: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("'{text}' is no HOST[:PORT]: {why}"));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (format!("[{host}]"), None),
            Some((host, rest)) if rest.starts_with(':') => (format!("[{host}]"), Some(&rest[1..])),
            _ => return wrong("after the closing bracket comes ':' and the port"),
        },
        None if text.matches(':').count() > 1 => (format!("[{text}]"), None),
        None => match text.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        },
    };
    if host.is_empty() || host == "[]" || host.contains(char::is_whitespace) {
        return wrong("the host is missing");
    }
    match port.map_or(Ok(DEFAULT_PORT), str::parse::<u16>) {
        Ok(port) if port != 0 => Ok(format!("{host}:{port}")),
        _ => wrong("the port is a number between 1 and 65535"),
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..digits].parse().ok()?;
    Some((number, text[digits..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in [("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("3", 3_000), ("1h", 3_600_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "10x", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("0", 0), ("4096", 4096), ("64MiB", 64 << 20), ("1 GiB", 1 << 30), ("20MB", 20_000_000)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1mib", "-1", "1.5GiB", "99999999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_have_units() {
        for (text, bits) in [("0", 0), ("64kbit", 64_000), ("100 Mbit", 100_000_000), ("2gbit", 2_000_000_000)] {
            assert_eq!(parse_rate(text), Ok(bits), "{text}");
        }
        for text in ["", "mbit", "1mb", "1MB", "-1", "1.5gbit", "99999999999gbit", "1gbit/s"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn servers_have_a_default_port() {
        for (text, server) in [
            ("localhost", "localhost:4000"),
            ("127.0.0.1:81", "127.0.0.1:81"),
            ("::1", "[::1]:4000"),
            ("[::1]", "[::1]:4000"),
            ("[::1]:99", "[::1]:99"),
        ] {
            assert_eq!(parse_server(text).as_deref(), Ok(server), "{text}");
        }
        for text in ["", ":4000", "host:", "host:0", "host:70000", "host:x", "[::1", "[::1]x", "[]:1", "a b"] {
            assert!(parse_server(text).is_err(), "{text}");
        }
    }
}
