//! Orders and claims with the decisions expected of them, and running them.
