//! The shape of a document and of the values in it, and which values are equal under one.

use std::collections::HashMap;

use crate::policy::document::{BundleNode, CalendarNode, Policy};
use crate::policy::load::FileRole;
use crate::policy::merge::{fragment_shape, layer_shape};
use crate::policy::read::{Read, Shape};
use crate::policy::source::Located;
use crate::policy::tree::{Node, NodeKind};

/// Shape of a document.
pub(super) fn shape_of(role: FileRole) -> Shape {
    match role {
        FileRole::Policy => Policy::shape(),
        FileRole::Fragment => fragment_shape(),
        FileRole::Layer => layer_shape(),
        FileRole::Calendar => CalendarNode::shape(),
        FileRole::Manifest => BundleNode::shape(),
        // Cases are known above; what they hold has no order of its own.
        FileRole::Cases => Shape::Record(vec![
            ("policy", Shape::Any),
            ("given", Shape::Table(Box::new(Shape::Any))),
            ("cases", Shape::List(Box::new(Shape::Any))),
        ]),
        FileRole::Unknown => Shape::Any,
    }
}

/// The shape of the value under a key.
pub(super) fn under<'s>(shape: &'s Shape, key: &str) -> &'s Shape {
    match shape {
        Shape::Record(keys) => keys.iter().find(|(known, _)| *known == key).map_or(&Shape::Any, |(_, shape)| shape),
        Shape::Table(value) => value,
        // One value where a list of them may stand.
        Shape::List(one) => under(one, key),
        Shape::Any => &Shape::Any,
    }
}

/// The shape of the items of a list.
pub(super) fn of_items(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(one) => one,
        Shape::Any | Shape::Record(_) | Shape::Table(_) => &Shape::Any,
    }
}

/// The only item of a list where it may as well stand without brackets.
pub(super) fn alone<'n>(items: &'n [Node], shape: &Shape) -> Option<&'n Node> {
    match (items, shape) {
        ([one], Shape::List(_)) => Some(one),
        (_, Shape::Any | Shape::Record(_) | Shape::Table(_) | Shape::List(_)) => None,
    }
}

/// Returns `true` if two values of this shape are equal. Quotes do not matter, and keys that have an
/// order of their own may stand in any; names stand in the order of the author, which counts.
pub(super) fn same(a: &Node, b: &Node, shape: &Shape) -> bool {
    match (&a.kind, &b.kind) {
        (NodeKind::Scalar(a_text, _), NodeKind::Scalar(b_text, _)) => a_text == b_text && a.is_blank() == b.is_blank(),
        (NodeKind::List(a), NodeKind::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, of_items(shape)))
        }
        (NodeKind::Mapping(a), NodeKind::Mapping(b)) => a.len() == b.len() && same_entries(a, b, shape),
        (NodeKind::List(many), _) => alone(many, shape).is_some_and(|one| same(one, b, of_items(shape))),
        (_, NodeKind::List(many)) => alone(many, shape).is_some_and(|one| same(a, one, of_items(shape))),
        (NodeKind::Scalar(..), NodeKind::Mapping(_)) | (NodeKind::Mapping(_), NodeKind::Scalar(..)) => false,
    }
}

fn same_entries(a: &[(Located<String>, Node)], b: &[(Located<String>, Node)], shape: &Shape) -> bool {
    let shape = match shape {
        Shape::List(one) => one,
        Shape::Any | Shape::Record(_) | Shape::Table(_) => shape,
    };
    match shape {
        Shape::Table(of) => {
            a.iter().zip(b).all(|((a_name, a), (b_name, b))| a_name.value == b_name.value && same(a, b, of))
        }
        Shape::Any | Shape::Record(_) | Shape::List(_) => {
            let others: HashMap<&str, &Node> = b.iter().map(|(key, value)| (key.value.as_str(), value)).collect();
            a.iter().all(|(key, value)| {
                let other = others.get(key.value.as_str());
                other.is_some_and(|other| same(value, other, under(shape, &key.value)))
            })
        }
    }
}
