//! The messages between the gateway and its plugins: the protobuf package `coprocess`, as plugins have
//! been compiled from it since 2016. `proto/coprocess.proto` is the same in protobuf's own language.
//!
//! Field numbers and types are the contract; nothing here is ever renumbered. Maps are sorted, so that one
//! object always has the same bytes.

use std::collections::BTreeMap;

/// Text by text, as most of the contract's maps are.
pub type Texts = BTreeMap<String, String>;

/// The moment of a request at which a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum HookType {
    /// Never sent.
    Unknown = 0,
    /// Before anything is checked.
    Pre = 1,
    /// After all checks, before the upstream is asked.
    Post = 2,
    /// After authentication.
    PostKeyAuth = 3,
    /// The authentication itself.
    CustomKeyCheck = 4,
    /// When the upstream's response has come.
    Response = 5,
}

/// What a hook is called with, and what it returns.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Object {
    /// At which moment the hook runs; ignored on return.
    #[prost(enumeration = "HookType", tag = "1")]
    pub hook_type: i32,
    /// The hook's name in the definition of the API; ignored on return.
    #[prost(string, tag = "2")]
    pub hook_name: String,
    /// The request; ignored on return from response hooks.
    #[prost(message, optional, tag = "3")]
    pub request: Option<MiniRequestObject>,
    /// The session; heeded on return from `CustomKeyCheck` alone.
    #[prost(message, optional, boxed, tag = "4")]
    pub session: Option<Box<SessionState>>,
    /// A copy of the session's metadata; on return laid over them.
    #[prost(btree_map = "string, string", tag = "5")]
    pub metadata: Texts,
    /// What the plugin may know of the API; ignored on return.
    #[prost(btree_map = "string, string", tag = "6")]
    pub spec: Texts,
    /// The response; in response hooks only.
    #[prost(message, optional, tag = "7")]
    pub response: Option<ResponseObject>,
}

/// A request as a hook sees it, and the changes it asks for.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MiniRequestObject {
    /// The first value of each header, names in canonical form, and `Host`.
    #[prost(btree_map = "string, string", tag = "1")]
    pub headers: Texts,
    /// Headers to set.
    #[prost(btree_map = "string, string", tag = "2")]
    pub set_headers: Texts,
    /// Headers to remove, before others are set.
    #[prost(string, repeated, tag = "3")]
    pub delete_headers: Vec<String>,
    /// The body, if it is text and asked for.
    #[prost(string, tag = "4")]
    pub body: String,
    /// Path and query.
    #[prost(string, tag = "5")]
    pub url: String,
    /// The first value of each parameter of the query.
    #[prost(btree_map = "string, string", tag = "6")]
    pub params: Texts,
    /// Parameters to set.
    #[prost(btree_map = "string, string", tag = "7")]
    pub add_params: Texts,
    /// Never filled, never read.
    #[prost(btree_map = "string, string", tag = "8")]
    pub extended_params: Texts,
    /// Parameters to remove, before others are set.
    #[prost(string, repeated, tag = "9")]
    pub delete_params: Vec<String>,
    /// An answer instead of the upstream's.
    #[prost(message, optional, tag = "10")]
    pub return_overrides: Option<ReturnOverrides>,
    /// The method.
    #[prost(string, tag = "11")]
    pub method: String,
    /// The target as it was received.
    #[prost(string, tag = "12")]
    pub request_uri: String,
    /// `http` or `https`: how the client is connected.
    #[prost(string, tag = "13")]
    pub scheme: String,
    /// The body's bytes; what is returned here is the body from then on.
    #[prost(bytes = "bytes", tag = "14")]
    pub raw_body: bytes::Bytes,
    /// All values of those headers that have several. Not in the old contract, hence the number; never read.
    #[prost(message, repeated, tag = "1000")]
    pub repeated_headers: Vec<Header>,
}

/// An answer by the hook itself.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReturnOverrides {
    /// The status; 0 and less: no override.
    #[prost(int32, tag = "1")]
    pub response_code: i32,
    /// Stands for `response_body` unless it is empty.
    #[prost(string, tag = "2")]
    pub response_error: String,
    /// Headers of the answer.
    #[prost(btree_map = "string, string", tag = "3")]
    pub headers: Texts,
    /// Whether errors have the body as it is, too.
    #[prost(bool, tag = "4")]
    pub override_error: bool,
    /// The body, or the message of an error.
    #[prost(string, tag = "5")]
    pub response_body: String,
}

/// A response as a hook sees and changes it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResponseObject {
    /// The status.
    #[prost(int32, tag = "1")]
    pub status_code: i32,
    /// The body's bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub raw_body: bytes::Bytes,
    /// The body, if it is text and asked for; ignored on return.
    #[prost(string, tag = "3")]
    pub body: String,
    /// The first value of each header.
    #[prost(btree_map = "string, string", tag = "4")]
    pub headers: Texts,
    /// All values of each header.
    #[prost(message, repeated, tag = "5")]
    pub multivalue_headers: Vec<Header>,
}

/// A header with all its values.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Header {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The values, in order.
    #[prost(string, repeated, tag = "2")]
    pub values: Vec<String>,
}

/// Left over from a design of 2016; part of the schema.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StringSlice {
    /// The texts.
    #[prost(string, repeated, tag = "1")]
    pub items: Vec<String>,
}

/// An event for a plugin.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// JSON.
    #[prost(string, tag = "1")]
    pub payload: String,
}

/// The answer to an [`Event`]: nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EventReply {}

/// Who a request comes from, and what they may do.
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs, reason = "the contract's own names; `session` documents the stored form")]
pub struct SessionState {
    #[prost(int64, tag = "1")]
    pub last_check: i64,
    #[prost(double, tag = "2")]
    pub allowance: f64,
    #[prost(double, tag = "3")]
    pub rate: f64,
    #[prost(double, tag = "4")]
    pub per: f64,
    #[prost(int64, tag = "5")]
    pub expires: i64,
    #[prost(int64, tag = "6")]
    pub quota_max: i64,
    #[prost(int64, tag = "7")]
    pub quota_renews: i64,
    #[prost(int64, tag = "8")]
    pub quota_remaining: i64,
    #[prost(int64, tag = "9")]
    pub quota_renewal_rate: i64,
    #[prost(btree_map = "string, message", tag = "10")]
    pub access_rights: BTreeMap<String, AccessDefinition>,
    #[prost(string, tag = "11")]
    pub org_id: String,
    #[prost(string, tag = "12")]
    pub oauth_client_id: String,
    #[prost(btree_map = "string, string", tag = "13")]
    pub oauth_keys: Texts,
    #[prost(message, optional, tag = "14")]
    pub basic_auth_data: Option<BasicAuthData>,
    #[prost(message, optional, tag = "15")]
    pub jwt_data: Option<JwtData>,
    #[prost(bool, tag = "16")]
    pub hmac_enabled: bool,
    #[prost(string, tag = "17")]
    pub hmac_secret: String,
    #[prost(bool, tag = "18")]
    pub is_inactive: bool,
    #[prost(string, tag = "19")]
    pub apply_policy_id: String,
    #[prost(int64, tag = "20")]
    pub data_expires: i64,
    #[prost(message, optional, tag = "21")]
    pub monitor: Option<Monitor>,
    #[prost(bool, tag = "22")]
    pub enable_detailed_recording: bool,
    #[prost(btree_map = "string, string", tag = "23")]
    pub metadata: Texts,
    #[prost(string, repeated, tag = "24")]
    pub tags: Vec<String>,
    #[prost(string, tag = "25")]
    pub alias: String,
    #[prost(string, tag = "26")]
    pub last_updated: String,
    #[prost(int64, tag = "27")]
    pub id_extractor_deadline: i64,
    #[prost(int64, tag = "28")]
    pub session_lifetime: i64,
    #[prost(string, repeated, tag = "29")]
    pub apply_policies: Vec<String>,
    #[prost(string, tag = "30")]
    pub certificate: String,
    #[prost(int64, tag = "31")]
    pub max_query_depth: i64,
    #[prost(string, tag = "32")]
    pub key_id: String,
    #[prost(string, tag = "33")]
    pub post_expiry_action: String,
    #[prost(int64, tag = "34")]
    pub post_expiry_grace_period: i64,
}

/// What a session may do on one API.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccessDefinition {
    /// The API's name.
    #[prost(string, tag = "1")]
    pub api_name: String,
    /// The API's id.
    #[prost(string, tag = "2")]
    pub api_id: String,
    /// Its versions.
    #[prost(string, repeated, tag = "3")]
    pub versions: Vec<String>,
    /// Its paths; none: all.
    #[prost(message, repeated, tag = "4")]
    pub allowed_urls: Vec<AccessSpec>,
}

/// Paths and methods that a session may use.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccessSpec {
    /// A regex.
    #[prost(string, tag = "1")]
    pub url: String,
    /// Methods, in capitals.
    #[prost(string, repeated, tag = "2")]
    pub methods: Vec<String>,
}

/// Data of basic authentication.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BasicAuthData {
    /// The password, or its hash.
    #[prost(string, tag = "1")]
    pub password: String,
    /// How it is hashed.
    #[prost(string, tag = "2")]
    pub hash: String,
}

/// Data of JSON web tokens.
#[derive(Clone, PartialEq, prost::Message)]
pub struct JwtData {
    /// The secret.
    #[prost(string, tag = "1")]
    pub secret: String,
}

/// Limits at which a session's usage is told.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Monitor {
    /// Percentages.
    #[prost(double, repeated, tag = "1")]
    pub trigger_limits: Vec<f64>,
}
