//! The bounds of lists and maps in requests, checked against the bytes of a message before any of it is
//! decoded.
//!
//! An empty item takes two bytes on the wire and hundreds in memory, so a message is counted first
//! and decoded only where every list is within its bound. The shape of each request is taken from
//! the descriptors; `LIST_BOUNDS` says how many items each of its lists may have. A list that is
//! not named there may have none.
//!
//! The same pass refuses what the library would let through: a map whose entries are not messages.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use smallvec::SmallVec;

use crate::api::descriptors::pool;
use crate::api::errors::Failure;
use crate::api::limits::{BATCH_ITEMS_MAX, MESSAGE_DEPTH_MAX, MESSAGE_FIELDS_MAX};
use crate::api::path::Path;
use crate::api::pb::ExplainLevel;
use crate::domain::limits::{
    BUNDLE_FILES_MAX, COMPONENTS_MAX, EARLIER_MAX, ENTRIES_MAX, EVIDENCE_MAX, LINES_MAX, PROMISED_ACTUAL_MAX,
    TENDERS_MAX,
};
use crate::domain::violations::Violations;

/// The lists and maps of requests, and how many items each may have.
const LIST_BOUNDS: [(&str, usize); 16] = [
    ("requite.v1.BatchEvaluateRefundRequest.requests", BATCH_ITEMS_MAX),
    ("requite.v1.Order.times", ENTRIES_MAX),
    ("requite.v1.Order.lines", LINES_MAX),
    ("requite.v1.Order.tenders", TENDERS_MAX),
    ("requite.v1.Order.components", COMPONENTS_MAX),
    ("requite.v1.Order.tags", ENTRIES_MAX),
    ("requite.v1.Order.inputs", ENTRIES_MAX),
    ("requite.v1.Order.earlier", EARLIER_MAX),
    ("requite.v1.OrderLine.tags", ENTRIES_MAX),
    ("requite.v1.OrderLine.inputs", ENTRIES_MAX),
    ("requite.v1.Claim.promised_actual", PROMISED_ACTUAL_MAX),
    ("requite.v1.Claim.evidence", EVIDENCE_MAX),
    ("requite.v1.Claim.line_ids", LINES_MAX),
    ("requite.v1.Claim.components", COMPONENTS_MAX),
    ("requite.v1.Evidence.fields", ENTRIES_MAX),
    ("requite.v1.PolicyFiles.files", BUNDLE_FILES_MAX),
];

/// Returns the maximum number of items of a list or map, by the full name of the field.
pub(crate) fn list_max(full_name: &str) -> usize {
    LIST_BOUNDS.iter().find(|(name, _)| *name == full_name).map_or(0, |(_, most)| *most)
}

/// The wire types of protobuf.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const GROUP: u64 = 3;
const GROUP_END: u64 = 4;
const FIXED_32: u64 = 5;

/// A request as far as it is counted.
#[derive(Debug)]
pub(crate) struct Shape {
    fields: MessageShape,
    /// Lists of the request itself and of the messages in it that are no items of lists.
    lists: usize,
}

#[derive(Debug, Default)]
struct MessageShape {
    /// By field number.
    fields: Vec<Option<FieldShape>>,
}

#[derive(Debug)]
struct FieldShape {
    name: String,
    wire_type: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// A number or a text.
    Value,
    /// One message, whose lists are counted with those of the message around it: where it stands
    /// twice, the library puts both together.
    Message(MessageShape),
    /// A list or map.
    List(ListShape),
}

#[derive(Debug)]
struct ListShape {
    /// The place of its count among those of the item that it belongs to.
    count: usize,
    most: usize,
    /// The shape of an item, if items are messages.
    item: Option<Shape>,
    /// Numbers may also stand side by side, as one value with a length.
    packed: bool,
}

static SHAPES: LazyLock<Option<HashMap<String, Shape>>> = LazyLock::new(|| {
    let requests =
        pool()?.services().flat_map(|service| service.methods().map(|method| method.input()).collect::<Vec<_>>());
    requests.map(|request| Some((request.full_name().to_owned(), Shape::of(&request, 0)?))).collect()
});

/// Reads the descriptors, so that no call has to wait for it.
pub(crate) fn prepare() {
    LazyLock::force(&SHAPES);
}

/// The shape of a request by its full name; `None` where no method takes such a message.
pub(crate) fn shape(full_name: &str) -> Result<Option<&'static Shape>, Failure> {
    // The descriptors are part of the program.
    SHAPES.as_ref().map(|shapes| shapes.get(full_name)).ok_or(Failure::Bug)
}

impl Shape {
    /// `None` where messages are nested deeper than [`MESSAGE_DEPTH_MAX`].
    fn of(message: &MessageDescriptor, depth: usize) -> Option<Self> {
        let mut lists = 0;
        let fields = MessageShape::of(message, &mut lists, depth)?;
        Some(Self { fields, lists })
    }
}

impl MessageShape {
    fn of(message: &MessageDescriptor, lists: &mut usize, depth: usize) -> Option<Self> {
        if MESSAGE_DEPTH_MAX <= depth {
            return None;
        }
        let mut shape = Self::default();
        for field in message.fields() {
            let number = usize::try_from(field.number()).ok()?;
            if shape.fields.len() <= number {
                shape.fields.resize_with(number + 1, || None);
            }
            *shape.fields.get_mut(number)? = Some(FieldShape::of(&field, lists, depth)?);
        }
        Some(shape)
    }

    fn field(&self, number: u64) -> Option<&FieldShape> {
        self.fields.get(usize::try_from(number).ok()?)?.as_ref()
    }
}

impl FieldShape {
    fn of(field: &FieldDescriptor, lists: &mut usize, depth: usize) -> Option<Self> {
        let kind = field.kind();
        let inner = kind.as_message();
        let wire_type = wire_type(&kind);
        let content = if field.is_list() || field.is_map() {
            let most = list_max(field.full_name());
            let item = match inner {
                Some(message) => Some(Shape::of(message, depth + 1)?),
                None => None,
            };
            let list = ListShape { count: *lists, most, item, packed: wire_type != LENGTH };
            *lists += 1;
            Content::List(list)
        } else {
            match inner {
                Some(message) => Content::Message(MessageShape::of(message, lists, depth + 1)?),
                None => Content::Value,
            }
        };
        Some(Self { name: field.name().to_owned(), wire_type, content })
    }
}

const fn wire_type(kind: &Kind) -> u64 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => FIXED_64,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => FIXED_32,
        Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Bool
        | Kind::Enum(_) => VARINT,
        Kind::String | Kind::Bytes | Kind::Message(_) => LENGTH,
    }
}

/// Counts a request. An error names every list that is above its bound, or says that this is no
/// message at all.
pub(crate) fn check(shape: &'static Shape, message: &[u8]) -> Result<(), Failure> {
    let mut counter = Counter { fields_left: MESSAGE_FIELDS_MAX, violations: Violations::default() };
    counter.item(shape, message, &Path::Root)?;
    let violations = counter.violations.into_list();
    if violations.is_empty() { Ok(()) } else { Err(Failure::BadRequest(violations)) }
}

/// The requests of a batch, as bytes: a batch is never decoded as a whole.
pub(crate) fn batch_items(message: &[u8]) -> Result<Vec<&[u8]>, Failure> {
    const REQUESTS: u64 = 1;
    let mut counter = Counter { fields_left: MESSAGE_FIELDS_MAX, violations: Violations::default() };
    let mut bytes = Bytes(message);
    let (mut items, mut count) = (Vec::new(), 0_usize);
    while let Some((number, wire_type)) = bytes.key()? {
        counter.fields_left = counter.fields_left.checked_sub(1).ok_or_else(too_many_fields)?;
        match (number, wire_type) {
            (REQUESTS, LENGTH) => {
                let item = bytes.value(wire_type)?;
                count += 1;
                if count <= BATCH_ITEMS_MAX {
                    items.push(item);
                }
            }
            (REQUESTS, _) => return Err(Failure::BadMessage),
            (_, _) => counter.skip(&mut bytes, number, wire_type)?,
        }
    }
    if BATCH_ITEMS_MAX < count {
        return Err(Failure::field("requests", format!("must have at most {BATCH_ITEMS_MAX} items, got {count}")));
    }
    Ok(items)
}

/// The parts of a request for one decision that determine how much work it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Asked {
    /// Lines of the order.
    pub(crate) lines: usize,
    /// True if the caller asks for an explanation.
    pub(crate) explained: bool,
}

/// Looks at an `EvaluateRefundRequest` in its bytes. Bytes that are no message ask for nothing.
pub(crate) fn asked(message: &[u8]) -> Asked {
    asked_for(message).unwrap_or_default()
}

fn asked_for(message: &[u8]) -> Result<Asked, Failure> {
    const EXPLAIN: u64 = 5;
    const ORDER: u64 = 6;
    const LINES: u64 = 6;
    let mut counter = Counter { fields_left: MESSAGE_FIELDS_MAX, violations: Violations::default() };
    let mut asked = Asked::default();
    let mut bytes = Bytes(message);
    while let Some((number, wire_type)) = bytes.key()? {
        match (number, wire_type) {
            // The library looks at the lower half only.
            (EXPLAIN, VARINT) => asked.explained |= bytes.varint()? & u64::from(u32::MAX) == ExplainLevel::Full as u64,
            // Where it stands twice, the library puts both together.
            (ORDER, LENGTH) => {
                let mut order = Bytes(bytes.value(wire_type)?);
                while let Some((number, wire_type)) = order.key()? {
                    asked.lines += usize::from(number == LINES);
                    counter.skip(&mut order, number, wire_type)?;
                }
            }
            (_, _) => counter.skip(&mut bytes, number, wire_type)?,
        }
    }
    Ok(asked)
}

/// Number of items of each list of one message.
type Counts = SmallVec<[usize; 12]>;

struct Counter {
    fields_left: usize,
    violations: Violations,
}

impl Counter {
    /// Counts the lists of an item, or of the whole request.
    fn item(&mut self, shape: &'static Shape, message: &[u8], at: &Path<'_>) -> Result<(), Failure> {
        let mut counts = Counts::from_elem(0, shape.lists);
        self.message(&shape.fields, message, &mut counts, at)?;
        self.report(&shape.fields, &counts, at);
        Ok(())
    }

    fn message(
        &mut self,
        shape: &'static MessageShape,
        message: &[u8],
        counts: &mut Counts,
        at: &Path<'_>,
    ) -> Result<(), Failure> {
        let mut bytes = Bytes(message);
        while let Some((number, wire_type)) = bytes.key()? {
            self.fields_left = self.fields_left.checked_sub(1).ok_or_else(too_many_fields)?;
            let Some(field) = shape.field(number) else {
                self.skip(&mut bytes, number, wire_type)?;
                continue;
            };
            let packed = matches!(field.content, Content::List(ListShape { packed: true, .. }));
            if wire_type != field.wire_type && !(packed && wire_type == LENGTH) {
                return Err(Failure::BadMessage);
            }
            let value = bytes.value(wire_type)?;
            let place = at.field(&field.name);
            match &field.content {
                Content::Value => {}
                Content::Message(shape) => self.message(shape, value, counts, &place)?,
                Content::List(ListShape { count, most, item, packed }) => {
                    let count = counts.get_mut(*count).ok_or(Failure::Bug)?;
                    // A number side by side with others takes one byte or more.
                    *count += if *packed && wire_type == LENGTH { value.len() } else { 1 };
                    if let (Some(shape), true) = (item, *count <= *most) {
                        self.item(shape, value, &place.item(*count - 1))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Names the lists that have too many items.
    fn report(&mut self, shape: &'static MessageShape, counts: &Counts, at: &Path<'_>) {
        for FieldShape { name, content, .. } in shape.fields.iter().flatten() {
            let place = at.field(name);
            match content {
                Content::Value => {}
                Content::Message(shape) => self.report(shape, counts, &place),
                Content::List(ListShape { count, most, .. }) => match counts.get(*count) {
                    Some(count) if most < count => {
                        self.violations.add(place, format_args!("at most {most} are allowed, got {count}"));
                    }
                    Some(_) | None => {}
                },
            }
        }
    }

    /// Steps over a field that is not known. Groups are not written any more, but may stand there.
    fn skip(&mut self, bytes: &mut Bytes<'_>, number: u64, wire_type: u64) -> Result<(), Failure> {
        if wire_type != GROUP {
            return bytes.value(wire_type).map(drop);
        }
        let mut open: SmallVec<[u64; MESSAGE_DEPTH_MAX]> = SmallVec::from_elem(number, 1);
        while let Some(&group) = open.last() {
            let (number, wire_type) = bytes.key()?.ok_or(Failure::BadMessage)?;
            self.fields_left = self.fields_left.checked_sub(1).ok_or_else(too_many_fields)?;
            match wire_type {
                GROUP_END if number == group => drop(open.pop()),
                GROUP if open.len() < MESSAGE_DEPTH_MAX => open.push(number),
                _ => drop(bytes.value(wire_type)?),
            }
        }
        Ok(())
    }
}

fn too_many_fields() -> Failure {
    Failure::field("", format!("at most {MESSAGE_FIELDS_MAX} fields are allowed in one message"))
}

/// Bytes of a message that were not looked at yet.
struct Bytes<'m>(&'m [u8]);

impl<'m> Bytes<'m> {
    /// The number and the wire type of the next field; `None` where there is none.
    #[inline]
    fn key(&mut self) -> Result<Option<(u64, u64)>, Failure> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        match key >> 3 {
            0 => Err(Failure::BadMessage),
            number if u64::from(u32::MAX) < key || number == 0 => Err(Failure::BadMessage),
            number => Ok(Some((number, key & 7))),
        }
    }

    /// The bytes of a value; those of a number do not matter.
    #[inline]
    fn value(&mut self, wire_type: u64) -> Result<&'m [u8], Failure> {
        match wire_type {
            VARINT => self.varint().map(|_| [].as_slice()),
            FIXED_64 => self.take(8),
            LENGTH => {
                let length = usize::try_from(self.varint()?).map_err(|_| Failure::BadMessage)?;
                self.take(length)
            }
            FIXED_32 => self.take(4),
            // A group is no value of any field here.
            _ => Err(Failure::BadMessage),
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'m [u8], Failure> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Failure::BadMessage)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Failure> {
        match self.0 {
            [byte @ 0..0x80, rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            _ => prost::encoding::decode_varint(&mut self.0).map_err(|_| Failure::BadMessage),
        }
    }
}

#[cfg(test)]
mod tests;
