//! The keys of `[gateway]` that are about bundles.

use std::path::PathBuf;
use std::time::Duration;

use coproc_core::count::Bytes;
use coproc_core::duration::Span;
use coproc_core::refusal::Refusal;
use coproc_core::scalar::printable;
use coproc_core::text::Text;

use super::{Compat, GatewayTable};
use crate::bundle::{Base, Bounds, BundleConfig};

impl GatewayTable {
    pub(super) fn bundles(&self, refusals: &mut Vec<Refusal>) -> BundleConfig {
        let default = BundleConfig::default();
        let path = |set: &Option<String>| {
            set.as_deref().filter(|text| !text.is_empty()).map(PathBuf::from)
        };
        let base = self.bundle_base_url.as_ref().filter(|Text(url)| !url.is_empty());
        let base = base.and_then(|Text(url)| {
            let base = Base::parse(url);
            if base.is_none() {
                let what = format!("`{}` is no place of bundles", printable(url));
                refusals.push(Refusal::wrong("bundle_base_url", what).expected(Base::EXPECTED));
            }
            base
        });
        let size = |set: Option<Bytes>, default: u64| set.map_or(default, |bytes| bytes.0);
        let time = |set: Option<Span>, default: Duration| set.map_or(default, Span::get);
        BundleConfig {
            middleware_path: path(&self.middleware_path),
            download: self.enable_bundle_downloader.is_none_or(|flag| flag.0),
            base,
            skip_verify: self.skip_verify_existing_plugin_bundle.is_some_and(|flag| flag.0),
            public_key: path(&self.public_key_path),
            refresh: match self.bundle_refresh {
                Some(flag) => flag.0,
                None => self.compat == Some(Compat::Strict),
            },
            insecure: self.bundle_insecure_skip_verify.is_some_and(|flag| flag.0),
            remove_unused: self.bundle_remove_unused.is_none_or(|flag| flag.0),
            timeout: time(self.bundle_timeout, default.timeout),
            max_size: size(self.bundle_max_size, default.max_size),
            bounds: Bounds {
                bytes: size(self.bundle_max_unpacked_size, default.bounds.bytes),
                entries: self
                    .bundle_max_files
                    .map_or(default.bounds.entries, |number| number.0 as usize),
            },
        }
    }
}
