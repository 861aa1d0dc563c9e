//! The grammar of formulas.
//!
//! ```text
//! or      = and { "or" and }
//! and     = not { "and" not }
//! not     = "not" not | compare
//! compare = sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
//! sum     = product { ("+" | "-") product }
//! product = unary { ("*" | "/") unary }
//! unary   = "-" unary | primary
//! primary = literal | name | name "(" or { "," or } ")" | "(" or ")"
//! ```

use crate::domain::limits::{FORMULA_BYTES_MAX, FORMULA_DEPTH_MAX};
use crate::policy::formula::{BinaryOperator, Expression, ExpressionKind, UnaryOperator};
use crate::policy::source::{Located, Span};

/// Reason why a text is not a formula.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyntaxError {
    /// The mistake and what was expected.
    pub message: String,
    /// Place of the mistake.
    pub span: Span,
    /// Advice on how to correct it.
    pub help: &'static str,
}

/// Parses a formula. `origin` is the byte in the file at which the text's first byte stands;
/// `None` where the text was written with escapes, so that only the whole can be pointed at.
pub fn parse(text: &Located<String>, origin: Option<usize>) -> Result<Expression, SyntaxError> {
    let locate = Locate { whole: text.span, origin };
    if text.value.len() > FORMULA_BYTES_MAX {
        return Err(SyntaxError {
            message: format!("the formula is longer than {FORMULA_BYTES_MAX} bytes"),
            span: text.span,
            help: "give its parts names as facts",
        });
    }
    let tokens = tokens(&text.value, locate)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, end: locate.span(text.value.len(), text.value.len()) };
    let expression = parser.or()?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err(parser.unexpected(token, "an operator or the end of the formula")),
    }
}

#[derive(Clone, Copy)]
struct Locate {
    whole: Span,
    origin: Option<usize>,
}

impl Locate {
    fn span(self, start: usize, end: usize) -> Span {
        self.origin.map_or(self.whole, |origin| Span::new(self.whole.file, origin + start, origin + end))
    }
}

#[derive(Clone, PartialEq, Debug)]
enum Token {
    Literal(String),
    Name(String),
    Symbol(&'static str),
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Self::Literal(text) | Self::Name(text) => format!("`{text}`"),
            Self::Symbol(symbol) => format!("`{symbol}`"),
        }
    }
}

/// Longer symbols come before those they begin with.
const SYMBOLS: [&str; 14] = ["<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "(", ")", ",", "="];

fn tokens(text: &str, locate: Locate) -> Result<Vec<(Token, Span)>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or(' ');
        let (token, length) = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if first.is_ascii_digit() {
            let length = literal_length(rest);
            (Token::Literal(rest.get(..length).unwrap_or("").to_owned()), length)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            (Token::Name(rest.get(..length).unwrap_or("").to_owned()), length)
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Token::Symbol(symbol), symbol.len())
        } else {
            return Err(SyntaxError {
                message: format!("`{first}` has no meaning in a formula"),
                span: locate.span(at, at + first.len_utf8()),
                help: match first {
                    '.' => "write a digit before the point: `0.5`",
                    _ => {
                        "a formula is made of facts, numbers, `+ - * /`, comparisons, `and`, `or`, `not` and functions"
                    }
                },
            });
        };
        tokens.push((token, locate.span(at, at + length)));
        at += length;
    }
    Ok(tokens)
}

/// A number with what belongs to it: a point and places, `%`, a unit, ` days`, ` business_days`.
/// What does not fit the grammar of literals is left for `check` to refuse by name.
fn literal_length(rest: &str) -> usize {
    let length =
        rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '%'))).unwrap_or(rest.len());
    let digits = rest.get(..length).is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let after = rest.get(length..).unwrap_or("");
    let words = after.trim_start_matches(' ');
    let unit_length = words.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(words.len());
    match words.get(..unit_length) {
        Some("day" | "days" | "business_day" | "business_days") if digits => {
            length + (after.len() - words.len()) + unit_length
        }
        Some(_) | None => length,
    }
}

struct Parser<'t> {
    tokens: &'t [(Token, Span)],
    at: usize,
    depth: usize,
    end: Span,
}

type Parsed = Result<Expression, SyntaxError>;

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t (Token, Span)> {
        self.tokens.get(self.at)
    }

    fn symbol(&mut self, symbols: &[&'static str]) -> Option<&'static str> {
        match self.peek() {
            Some((Token::Symbol(symbol), _)) if symbols.contains(symbol) => {
                self.at += 1;
                Some(symbol)
            }
            Some(_) | None => None,
        }
    }

    fn word(&mut self, word: &str) -> Option<Span> {
        match self.peek() {
            Some((Token::Name(name), span)) if name == word => {
                self.at += 1;
                Some(*span)
            }
            Some(_) | None => None,
        }
    }

    fn unexpected(&self, (token, span): &(Token, Span), wanted: &str) -> SyntaxError {
        let help = match token {
            Token::Symbol("=") => "compare with `==`",
            Token::Symbol(_) | Token::Literal(_) | Token::Name(_) => "",
        };
        SyntaxError { message: format!("expected {wanted}, got {}", token.describe()), span: *span, help }
    }

    /// Counts the nesting of what `inner` parses.
    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        self.depth += 1;
        if self.depth > FORMULA_DEPTH_MAX {
            return Err(SyntaxError {
                message: format!("the formula is nested more than {FORMULA_DEPTH_MAX} levels deep"),
                span: self.peek().map_or(self.end, |(_, span)| *span),
                help: "give its parts names as facts",
            });
        }
        let parsed = inner(self);
        self.depth -= 1;
        parsed
    }

    fn or(&mut self) -> Parsed {
        let mut left = self.and()?;
        while self.word("or").is_some() {
            left = binary(BinaryOperator::Or, left, self.and()?);
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed {
        let mut left = self.not()?;
        while self.word("and").is_some() {
            left = binary(BinaryOperator::And, left, self.not()?);
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed {
        match self.word("not") {
            Some(span) => self.nested(|parser| Ok(unary(UnaryOperator::Not, span, parser.not()?))),
            None => self.compare(),
        }
    }

    fn compare(&mut self) -> Parsed {
        let left = self.sum()?;
        let operator = match self.symbol(&["<=", ">=", "==", "!=", "<", ">"]) {
            Some("<=") => BinaryOperator::LessOrEqual,
            Some(">=") => BinaryOperator::GreaterOrEqual,
            Some("==") => BinaryOperator::Equal,
            Some("!=") => BinaryOperator::NotEqual,
            Some("<") => BinaryOperator::Less,
            Some(">") => BinaryOperator::Greater,
            Some(_) | None => return Ok(left),
        };
        Ok(binary(operator, left, self.sum()?))
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        loop {
            let operator = match self.symbol(&["+", "-"]) {
                Some("+") => BinaryOperator::Add,
                Some(_) => BinaryOperator::Subtract,
                None => return Ok(left),
            };
            left = binary(operator, left, self.product()?);
        }
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.unary()?;
        loop {
            let operator = match self.symbol(&["*", "/"]) {
                Some("*") => BinaryOperator::Multiply,
                Some(_) => BinaryOperator::Divide,
                None => return Ok(left),
            };
            left = binary(operator, left, self.unary()?);
        }
    }

    fn unary(&mut self) -> Parsed {
        let span = self.peek().map_or(self.end, |(_, span)| *span);
        match self.symbol(&["-"]) {
            Some(_) => self.nested(|parser| Ok(unary(UnaryOperator::Negate, span, parser.unary()?))),
            None => self.primary(),
        }
    }

    fn primary(&mut self) -> Parsed {
        let Some(token) = self.peek() else {
            return Err(SyntaxError {
                message: "the formula ends where a value was expected".to_owned(),
                span: self.end,
                help: "",
            });
        };
        self.at += 1;
        match token {
            (Token::Literal(text), span) => Ok(Expression { kind: ExpressionKind::Literal(text.clone()), span: *span }),
            (Token::Name(name), span) if self.symbol(&["("]).is_some() => {
                let (name, span) = (name.clone(), *span);
                self.nested(|parser| parser.arguments(name, span))
            }
            (Token::Name(name), span) => Ok(Expression { kind: ExpressionKind::Name(name.clone()), span: *span }),
            (Token::Symbol("("), _) => self.nested(|parser| {
                let inner = parser.or()?;
                parser.closing()?;
                Ok(inner)
            }),
            token @ (Token::Symbol(_), _) => Err(self.unexpected(token, "a value")),
        }
    }

    fn arguments(&mut self, name: String, span: Span) -> Parsed {
        let mut arguments = Vec::new();
        if self.symbol(&[")"]).is_none() {
            arguments.push(self.or()?);
            while self.symbol(&[","]).is_some() {
                arguments.push(self.or()?);
            }
            self.closing()?;
        }
        let end = self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(span, |(_, span)| *span);
        Ok(Expression { kind: ExpressionKind::Call(name, arguments), span: span.to(end) })
    }

    fn closing(&mut self) -> Result<(), SyntaxError> {
        if self.symbol(&[")"]).is_some() {
            return Ok(());
        }
        Err(match self.peek() {
            Some(token) => self.unexpected(token, "`,` or `)`"),
            None => SyntaxError { message: "a `(` is not closed".to_owned(), span: self.end, help: "add `)`" },
        })
    }
}

fn unary(operator: UnaryOperator, span: Span, operand: Expression) -> Expression {
    let span = span.to(operand.span);
    Expression { kind: ExpressionKind::Unary(operator, Box::new(operand)), span }
}

fn binary(operator: BinaryOperator, left: Expression, right: Expression) -> Expression {
    let span = left.span.to(right.span);
    Expression { kind: ExpressionKind::Binary(operator, Box::new(left), Box::new(right)), span }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(expression: &Expression) -> String {
        match &expression.kind {
            ExpressionKind::Literal(text) | ExpressionKind::Name(text) => text.clone(),
            ExpressionKind::Call(name, arguments) => {
                format!("{name}({})", arguments.iter().map(shape).collect::<Vec<_>>().join(" "))
            }
            ExpressionKind::Unary(operator, operand) => format!("({operator:?} {})", shape(operand)),
            ExpressionKind::Binary(operator, left, right) => {
                format!("({} {} {})", operator.text(), shape(left), shape(right))
            }
        }
    }

    fn read(text: &str) -> Result<String, SyntaxError> {
        parse(&Located { value: text.to_owned(), span: Span::new(0, 0, text.len()) }, Some(0))
            .map(|expression| shape(&expression))
    }

    #[test]
    fn operators_bind_as_in_school() {
        assert_eq!(read("a + b * -c / 2").unwrap(), "(+ a (/ (* b (Negate c)) 2))");
        assert_eq!(read("a - b - c").unwrap(), "(- (- a b) c)");
        assert_eq!(read("a > 1/4 and not b or c").unwrap(), "(or (and (> a (/ 1 4)) (Not b)) c)");
        assert_eq!(read("max(0s, t - (p + 3 days))").unwrap(), "max(0s (- t (+ p 3 days)))");
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, start) in [("a +", 3), ("(a", 2), ("a b", 2), ("a = b", 2), ("a $ b", 2), ("f(a,", 4), ("", 0)] {
            let error = read(text).unwrap_err();
            assert_eq!(error.span.start, start, "{text}: {error:?}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        assert!(read(&"(".repeat(500)).unwrap_err().message.contains("nested"));
        assert!(read(&"-".repeat(500)).unwrap_err().message.contains("nested"));
        assert!(read(&"a".repeat(2_000)).unwrap_err().message.contains("longer"));
    }
}
