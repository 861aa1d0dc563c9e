//! The part of Cerbos' API that is used here, by the numbers of its fields
//! (`cerbos.svc.v1.CerbosService/CheckResources`).

use std::collections::HashMap;

use prost_types::Value;

/// `cerbos.request.v1.CheckResourcesRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckResourcesRequest {
    #[prost(string, tag = "1")]
    pub request_id: String,
    #[prost(message, optional, tag = "3")]
    pub principal: Option<Principal>,
    #[prost(message, repeated, tag = "4")]
    pub resources: Vec<ResourceEntry>,
}

/// `cerbos.engine.v1.Principal`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Principal {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, repeated, tag = "3")]
    pub roles: Vec<String>,
}

/// `cerbos.request.v1.CheckResourcesRequest.ResourceEntry`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceEntry {
    #[prost(string, repeated, tag = "1")]
    pub actions: Vec<String>,
    #[prost(message, optional, tag = "2")]
    pub resource: Option<Resource>,
}

/// `cerbos.engine.v1.Resource`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Resource {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(map = "string, message", tag = "4")]
    pub attr: HashMap<String, Value>,
}

/// `cerbos.response.v1.CheckResourcesResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckResourcesResponse {
    #[prost(message, repeated, tag = "2")]
    pub results: Vec<ResultEntry>,
}

/// `cerbos.response.v1.CheckResourcesResponse.ResultEntry`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResultEntry {
    #[prost(map = "string, int32", tag = "2")]
    pub actions: HashMap<String, i32>,
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<OutputEntry>,
}

/// `cerbos.engine.v1.OutputEntry`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OutputEntry {
    #[prost(string, tag = "1")]
    pub src: String,
    #[prost(message, optional, tag = "2")]
    pub val: Option<Value>,
}

/// `cerbos.effect.v1.EFFECT_ALLOW`.
pub const ALLOW: i32 = 1;
