//! The table of rules.

use super::{House, Offence, arrows, determinism, files, locks, manifest, purity, real_time, testing, words};

/// One rule of the house.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, as a fixture marks it.
    pub name: &'static str,
    /// Finds everything that breaks it.
    pub check: fn(&House) -> Vec<Offence>,
}

const fn rule(name: &'static str, check: fn(&House) -> Vec<Offence>) -> Rule {
    Rule { name, check }
}

/// Every rule, by group.
pub const RULES: &[Rule] = &[
    rule("top_level", files::top_level),
    rule("line_cap", files::line_cap),
    rule("no_logic_in_mod", files::no_logic_in_mod),
    rule("arrows", arrows::manifests),
    rule("arrows_in_sources", arrows::sources),
    rule("quic_behind_its_door", arrows::quic_behind_its_door),
    rule("own_types_are_shown", arrows::own_types_are_shown),
    rule("hostile_stands_alone", arrows::hostile_stands_alone),
    rule("pure_files", purity::pure_files),
    rule("lock_whitelist", locks::whitelist),
    rule("no_other_locks", locks::no_other_locks),
    rule("no_await_beside_lock", locks::no_await_beside_lock),
    rule("select_is_biased", determinism::select_is_biased),
    rule("spawner_only", determinism::spawner_only),
    rule("no_clock", determinism::no_clock),
    rule("no_thread_randomness", determinism::no_thread_randomness),
    rule("no_hash_order", determinism::no_hash_order),
    rule("ed25519_only", determinism::ed25519_only),
    rule("bounded_channels", determinism::bounded_channels),
    rule("no_async_files", determinism::no_async_files),
    rule("cfg_test_on_tests", testing::cfg_test_on_tests),
    rule("no_ignored_test", testing::no_ignored_test),
    rule("reasons", testing::reasons),
    rule("real_time_is_named", real_time::real_time_is_named),
    rule("plain_words", words::plain_words),
    rule("speaks_of_itself", words::speaks_of_itself),
    rule("member_manifests", manifest::member_manifests),
    rule("workspace_manifest", manifest::workspace_manifest),
    rule("licences", manifest::licences),
    rule("lock_floors", manifest::lock_floors),
    rule("lock_origins", manifest::lock_origins),
    rule("lock_single_versions", manifest::lock_single_versions),
    rule("core_crate_budget", manifest::core_crate_budget),
];

impl Rule {
    /// Its offences in `house`, in order of file and line, each once.
    pub fn offences(&self, house: &House) -> Vec<Offence> {
        let mut offences = (self.check)(house);
        offences.sort();
        offences.dedup();
        offences
    }
}
