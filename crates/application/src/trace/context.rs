//! The place of a span in its trace, as it travels: the `traceparent` of W3C Trace Context.

use std::{fmt, num::NonZero, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names one span of one sampled trace, for whoever goes on with it. What is not sampled has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace, on all nodes.
    pub trace_id: NonZero<u128>,
    /// The span in it.
    pub span_id: NonZero<u64>,
}

/// The text is not the context of a sampled trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the context of a sampled trace")]
pub struct InvalidTraceContext;

impl TraceContext {
    /// The only version there is of the text.
    const VERSION: &str = "00";
    /// The bit of the flags that says that the trace is sampled.
    const SAMPLED: u8 = 1;

    /// For a field of a stored record (`deserialize_with`): whatever is not a context is none,
    /// because an event must not be lost for its trace.
    ///
    /// # Errors
    /// Where the record itself cannot be read.
    pub fn if_valid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(value.as_str().and_then(|text| text.parse().ok()))
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id } = self;
        write!(formatter, "{}-{trace_id:032x}-{span_id:016x}-{:02x}", Self::VERSION, Self::SAMPLED)
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-');
        let mut part = || parts.next().unwrap_or_default();
        let (version, trace_id, span_id, flags) = (part(), part(), part(), part());
        if version != Self::VERSION || parts.next().is_some() {
            return Err(InvalidTraceContext);
        }
        let sampled = hexadecimal(flags, 2)? & u128::from(Self::SAMPLED) != 0;
        let trace_id = NonZero::new(hexadecimal(trace_id, 32)?);
        let span_id = u64::try_from(hexadecimal(span_id, 16)?).ok().and_then(NonZero::new);
        match (trace_id, span_id) {
            (Some(trace_id), Some(span_id)) if sampled => Ok(Self { trace_id, span_id }),
            _ => Err(InvalidTraceContext),
        }
    }
}

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A number of exactly so many digits, in lower case.
fn hexadecimal(text: &str, digits: usize) -> Result<u128, InvalidTraceContext> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(digit) {
        return Err(InvalidTraceContext);
    }
    u128::from_str_radix(text, 16).map_err(|_| InvalidTraceContext)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_written_as_w3c_trace_context_says() {
        let context: TraceContext = TEXT.parse().unwrap();
        assert_eq!(context.trace_id.get(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(context.span_id.get(), 0x00f0_67aa_0ba9_02b7);
        assert_eq!(context.to_string(), TEXT);
        assert_eq!(serde_json::to_string(&context).unwrap(), format!("{TEXT:?}"));
    }

    #[test]
    fn what_is_not_the_context_of_a_sampled_trace_is_not_taken_for_one() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(InvalidTraceContext), "{text}");
        }
    }

    #[test]
    fn a_record_is_read_whatever_its_trace_is() {
        #[derive(Deserialize)]
        struct Record {
            #[serde(default, deserialize_with = "TraceContext::if_valid")]
            traceparent: Option<TraceContext>,
        }
        let read = |json: &str| serde_json::from_str::<Record>(json).unwrap().traceparent;
        assert_eq!(read(&format!(r#"{{"traceparent":{TEXT:?}}}"#)), TEXT.parse().ok());
        for json in [
            "{}",
            r#"{"traceparent":null}"#,
            r#"{"traceparent":7}"#,
            r#"{"traceparent":"\u0030"}"#,
            r#"{"traceparent":{"a":[1]}}"#,
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_context_is_read_as_it_was_written(trace_id in 1..=u128::MAX, span_id in 1..=u64::MAX) {
            let context = TraceContext {
                trace_id: NonZero::new(trace_id).unwrap(),
                span_id: NonZero::new(span_id).unwrap(),
            };
            prop_assert_eq!(context.to_string().parse(), Ok(context));
        }
    }
}
