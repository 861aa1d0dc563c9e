//! The descriptors of all messages, as data: for JSON, and for the bounds of requests.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

use crate::api::pb::FILE_DESCRIPTOR_SET;

static POOL: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).ok());

/// The descriptors; `None` only if the build embedded something else.
pub(crate) fn pool() -> Option<&'static DescriptorPool> {
    POOL.as_ref()
}
