//! Formulas: from text to typed operations.
//!
//! `parse` knows the grammar and no names; `check` knows names and types and leaves operations
//! that cannot go wrong in type or depth.

pub mod check;
pub mod describe;
mod dimension;
pub mod functions;
mod operators;
pub mod parse;
pub mod scope;

use crate::policy::source::Span;

/// A formula as parsed.
#[derive(Clone, PartialEq, Debug)]
pub struct Expression {
    /// Kind of expression.
    pub kind: ExpressionKind,
    /// Place in the source.
    pub span: Span,
}

/// Kind of an expression.
#[derive(Clone, PartialEq, Debug)]
pub enum ExpressionKind {
    /// A number, percentage, or length of time, as written: `24h`, `15%`, `3 days`.
    Literal(String),
    /// A name.
    Name(String),
    /// A function and its arguments.
    Call(String, Vec<Expression>),
    /// An operator before its operand.
    Unary(UnaryOperator, Box<Expression>),
    /// An operator between its operands.
    Binary(BinaryOperator, Box<Expression>, Box<Expression>),
}

/// An operator before its operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOperator {
    /// `-`
    Negate,
    /// `not`
    Not,
}

/// An operator between its operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BinaryOperator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `and`
    And,
    /// `or`
    Or,
}

impl BinaryOperator {
    /// As it is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::And => "and",
            Self::Or => "or",
        }
    }
}
