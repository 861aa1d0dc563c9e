//! A server in this process, over sockets: calls, connections, overload, its end, and a candidate beside what is in force.
#![cfg(test)]

mod candidate_shadow;
mod grpc_connections;
mod grpc_decisions;
mod grpc_guard;
mod grpc_overload;
mod grpc_places;
mod grpc_service;
mod grpc_stop;

#[path = "../support/mod.rs"]
mod support;
