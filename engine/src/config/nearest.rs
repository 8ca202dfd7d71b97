//! The valid key that a misspelt one probably means.

/// How similar two names must be, from 0 to 1, to be mistaken for each other.
const LIKENESS_MIN: f64 = 0.8;

/// The key that is most similar to `name`, if one is similar enough.
pub(super) fn nearest<'a>(name: &str, keys: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |key: &str| strsim::jaro_winkler(&name.to_lowercase(), key);
    let rated = keys.map(|key| (likeness(key), key)).filter(|(likeness, _)| *likeness > LIKENESS_MIN);
    rated.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key_and_nonsense_finds_none() {
        let keys = ["listen", "api_listen", "shards", "apps", "limits"];
        let table = [
            ("lsten", Some("listen")),
            ("Listen", Some("listen")),
            ("app", Some("apps")),
            ("shard", Some("shards")),
            ("api-listen", Some("api_listen")),
            ("zzz", None),
            ("", None),
        ];
        for (name, key) in table {
            assert_eq!(nearest(name, keys.into_iter()), key, "{name}");
        }
    }
}
