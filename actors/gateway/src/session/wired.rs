//! Between the stored session and the one that plugins see. Limits of single APIs and all that the wire has
//! no field for are not seen by plugins, and are not in what comes back.

use serde_json::Value;

use super::{Access, AllowedUrl, BasicAuth, Jwt, Monitor, Pattern, Session, text};
use crate::api::Api;
use crate::wire::{self, SessionState, Texts};

/// Where an older Tyk keeps `enable_detailed_recording`.
const DETAILED: &str = "enable_detail_recording";

impl Session {
    /// As plugins see it.
    pub fn to_wire(&self) -> SessionState {
        let old_flag = self.rest.get(DETAILED).and_then(Value::as_bool).unwrap_or(false);
        SessionState {
            last_check: self.last_check,
            allowance: self.allowance,
            rate: self.rate,
            per: self.per,
            expires: self.expires,
            quota_max: self.quota_max,
            quota_renews: self.quota_renews,
            quota_remaining: self.quota_remaining,
            quota_renewal_rate: self.quota_renewal_rate,
            access_rights: self
                .access_rights
                .iter()
                .map(|(id, access)| (id.clone(), access.to_wire()))
                .collect(),
            org_id: self.org_id.clone(),
            oauth_client_id: self.oauth_client_id.clone(),
            oauth_keys: self.oauth_keys.clone(),
            basic_auth_data: Some(wire::BasicAuthData {
                password: self.basic_auth_data.password.clone(),
                hash: self.basic_auth_data.hash.clone(),
            }),
            jwt_data: Some(wire::JwtData { secret: self.jwt_data.secret.clone() }),
            hmac_enabled: self.hmac_enabled,
            hmac_secret: self.hmac_secret.clone(),
            is_inactive: self.is_inactive,
            apply_policy_id: self.apply_policy_id.clone(),
            data_expires: self.data_expires,
            monitor: Some(wire::Monitor { trigger_limits: self.monitor.trigger_limits.clone() }),
            enable_detailed_recording: self.enable_detailed_recording || old_flag,
            metadata: self.metadata.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
            tags: self.tags.clone(),
            alias: self.alias.clone(),
            last_updated: self.last_updated.clone(),
            id_extractor_deadline: self.id_extractor_deadline,
            session_lifetime: self.session_lifetime,
            apply_policies: self.apply_policies.clone(),
            // Plugins may set these two, and never see them.
            certificate: String::new(),
            max_query_depth: 0,
            key_id: self.key_id.clone(),
            post_expiry_action: self.post_expiry_action.clone(),
            post_expiry_grace_period: self.post_expiry_grace_period,
        }
    }
}

impl Access {
    fn to_wire(&self) -> wire::AccessDefinition {
        let spec = |url: &AllowedUrl| wire::AccessSpec {
            url: url.url.as_str().to_owned(),
            methods: url.methods.clone(),
        };
        wire::AccessDefinition {
            api_name: self.api_name.clone(),
            api_id: self.api_id.clone(),
            versions: self.versions.clone(),
            allowed_urls: self.allowed_urls.iter().map(spec).collect(),
        }
    }
}

/// The session that a hook made for a request to `api`, with the object's metadata laid over its own. It
/// belongs to the API's organisation, whatever the hook says.
pub fn from_wire(state: SessionState, api: &Api, metadata: Texts) -> Session {
    let access = |access: wire::AccessDefinition| Access {
        api_name: access.api_name,
        api_id: access.api_id,
        versions: access.versions,
        allowed_urls: access
            .allowed_urls
            .into_iter()
            .map(|spec| AllowedUrl {
                url: Pattern::new(spec.url),
                methods: spec.methods,
                ..AllowedUrl::default()
            })
            .collect(),
        ..Access::default()
    };
    let basic = state.basic_auth_data.unwrap_or_default();
    let mut merged = state.metadata;
    merged.extend(metadata);
    Session {
        last_check: state.last_check,
        allowance: finite(state.allowance),
        rate: finite(state.rate),
        per: finite(state.per),
        expires: state.expires,
        quota_max: state.quota_max,
        quota_renews: state.quota_renews,
        quota_remaining: state.quota_remaining,
        quota_renewal_rate: state.quota_renewal_rate,
        access_rights: state.access_rights.into_iter().map(|(id, one)| (id, access(one))).collect(),
        org_id: api.org.clone(),
        oauth_client_id: state.oauth_client_id,
        oauth_keys: state.oauth_keys,
        basic_auth_data: BasicAuth {
            password: basic.password,
            hash: basic.hash,
            ..BasicAuth::default()
        },
        jwt_data: Jwt { secret: state.jwt_data.unwrap_or_default().secret, ..Jwt::default() },
        hmac_enabled: state.hmac_enabled,
        hmac_secret: state.hmac_secret,
        is_inactive: state.is_inactive,
        apply_policy_id: state.apply_policy_id,
        data_expires: state.data_expires,
        monitor: Monitor {
            trigger_limits: state
                .monitor
                .map(|monitor| monitor.trigger_limits.into_iter().map(finite).collect())
                .unwrap_or_default(),
            ..Monitor::default()
        },
        enable_detailed_recording: state.enable_detailed_recording,
        metadata: merged.into_iter().map(|(key, value)| (key, value.into())).collect(),
        tags: state.tags,
        alias: state.alias,
        last_updated: state.last_updated,
        id_extractor_deadline: state.id_extractor_deadline,
        session_lifetime: state.session_lifetime,
        apply_policies: state.apply_policies,
        certificate: state.certificate,
        max_query_depth: state.max_query_depth,
        post_expiry_action: state.post_expiry_action,
        post_expiry_grace_period: state.post_expiry_grace_period,
        key_id: state.key_id,
        rest: serde_json::Map::new(),
    }
}

/// JSON has no word for what is no number: it would be stored as null.
fn finite(number: f64) -> f64 {
    if number.is_finite() { number } else { 0.0 }
}
