//! Sizes as the configuration writes them: a whole number and a binary unit.

/// The units, and how many bytes each is.
const UNITS: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// The number of bytes that `text` stands for.
///
/// # Errors
/// What is wrong with it, for the person who wrote it.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match UNITS.iter().find(|(name, _)| *name == unit) {
        _ if number.is_empty() => None,
        Some((_, factor)) => Some(*factor),
        // Nothing is nothing in every unit.
        None if text == "0" => Some(1),
        None if unit.is_empty() => {
            return Err("has no unit: add KiB, MiB, GiB, TiB or B".to_owned());
        }
        None => match unit.to_ascii_uppercase().as_str() {
            // 1000 or 1024: people mean either.
            "K" | "KB" => return Err("has a decimal unit: use KiB".to_owned()),
            "M" | "MB" => return Err("has a decimal unit: use MiB".to_owned()),
            "G" | "GB" => return Err("has a decimal unit: use GiB".to_owned()),
            "T" | "TB" => return Err("has a decimal unit: use TiB".to_owned()),
            _ => None,
        },
    };
    let Some(factor) = factor else {
        return Err("is not a size such as \"512MiB\"".to_owned());
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    // What a TOML integer can hold, and every counter of bytes.
    bytes.filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(|| "is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_and_a_binary_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("0B", 0),
            ("1024B", 1024),
            ("64KiB", 64 << 10),
            ("512MiB", 512 << 20),
            ("1GiB", 1 << 30),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
            // What the adapters make of it.
            assert_eq!(text.parse(), Ok(bytesize::ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_cure() {
        for (text, fault) in [
            ("65536", "has no unit: add KiB, MiB, GiB, TiB or B"),
            ("64KB", "has a decimal unit: use KiB"),
            ("64k", "has a decimal unit: use KiB"),
            ("64kb", "has a decimal unit: use KiB"),
            ("1G", "has a decimal unit: use GiB"),
            ("", "is not a size such as \"512MiB\""),
            ("MiB", "is not a size such as \"512MiB\""),
            ("-1MiB", "is not a size such as \"512MiB\""),
            ("1.5MiB", "is not a size such as \"512MiB\""),
            ("1 MiB", "is not a size such as \"512MiB\""),
            ("1mib", "is not a size such as \"512MiB\""),
            ("much", "is not a size such as \"512MiB\""),
            ("16777216TiB", "is too large"),
            ("99999999999999999999B", "is too large"),
        ] {
            assert_eq!(parse(text), Err(fault.to_owned()), "{text}");
        }
    }
}
