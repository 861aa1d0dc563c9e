//! What every listener does with bytes and connections, before anybody knows what they say.

pub(crate) mod answer;
pub(crate) mod budget;
pub(crate) mod message;
pub(crate) mod unsent;
