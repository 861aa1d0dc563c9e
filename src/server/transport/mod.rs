//! Handling of bytes and connections by every listener, before their content is known.

pub(crate) mod answer;
pub(crate) mod budget;
pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod frames;
pub(crate) mod greeted;
pub(crate) mod message;
pub(crate) mod peer;
pub(crate) mod protocol;
pub(crate) mod request_body;
pub(crate) mod state;
pub(crate) mod stop;
pub(crate) mod supervision;
pub(crate) mod unary;
pub(crate) mod unsent;
