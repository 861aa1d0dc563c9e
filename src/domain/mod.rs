//! The parts of a refund: money, exact numbers, time, words, facts, the decision.
//!
//! The lowest floor. Nothing here knows what a policy looks like, where a request came from,
//! or what time it is now.

pub mod allocate;
pub mod calendar;
pub mod count;
pub mod decision;
pub mod facts;
pub mod limits;
pub mod money;
pub mod printable;
pub mod ratio;
pub mod request;
pub mod text;
pub mod time;
pub mod violations;
pub mod words;
pub mod zone;
