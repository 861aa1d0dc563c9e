//! The gRPC services: the only place that knows tonic and prost.
