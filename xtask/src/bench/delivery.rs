//! Delivery to viewers: publish to receive (p50, p99), payload bytes per token, CPU per delivered frame, over
//! WebTransport on loopback.
//!
//! It is measured with a native subscriber in this process, which reads the clock that the upstream stamps its tokens
//! with (`upstream::Upstream::start`). Until such a subscriber exists this module measures nothing and the report has no
//! row for it.
