//! One tree of settings from several sources: what a later one sets replaces what an earlier one does, key by key.
//!
//! Every part of the tree keeps its place as a number, which `Document` resolves: a byte of the file, or beyond it one of
//! a layer.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::layer::ENDPOINTS;

/// Lays a table over another.
pub(super) fn lay_over<'a>(below: &mut DeTable<'a>, mut above: DeTable<'a>) {
    let endpoints = above.remove(ENDPOINTS);
    drop_other_token(below, &above);
    for (key, value) in above {
        let before = below.remove(&key);
        let value = match before {
            Some(before) => replaced(key.get_ref(), before, value),
            None => value,
        };
        below.insert(key, value);
    }
    if let Some(endpoints) = endpoints {
        replace_endpoints(below, &endpoints);
    }
}

fn replaced<'a>(key: &str, below: Spanned<DeValue<'a>>, above: Spanned<DeValue<'a>>) -> Spanned<DeValue<'a>> {
    let span = above.span();
    match (below.into_inner(), above.into_inner()) {
        (DeValue::Table(mut below), DeValue::Table(above)) => {
            drop_certificate(&mut below, &above);
            lay_over(&mut below, above);
            Spanned::new(span, DeValue::Table(below))
        }
        (DeValue::Array(below), DeValue::Array(above)) if key == "apps" => {
            Spanned::new(span, DeValue::Array(with_endpoints(above, &below)))
        }
        (_, above) => Spanned::new(span, above),
    }
}

/// The token of the console is written in one of two ways.
fn drop_other_token(below: &mut DeTable<'_>, above: &DeTable<'_>) {
    for (one, other) in [("admin_token", "admin_token_file"), ("admin_token_file", "admin_token")] {
        if above.contains_key(one) && !above.contains_key(other) {
            below.remove(other);
        }
    }
}

/// The authority of a Redis with TLS is none of another Redis without.
fn drop_certificate(below: &mut DeTable<'_>, above: &DeTable<'_>) {
    let url = above.get("redis_url").and_then(|url| url.get_ref().as_str());
    if url.is_some_and(|url| !url.starts_with("rediss://")) {
        below.remove("redis_ca_file");
    }
}

/// Apps that replace others keep the endpoints of the app with the same id.
fn with_endpoints<'a>(apps: DeArray<'a>, before: &DeArray<'a>) -> DeArray<'a> {
    let mut all = DeArray::new();
    for app in apps {
        let span = app.span();
        let mut app = app.into_inner();
        if let DeValue::Table(table) = &mut app {
            let same = before.iter().filter_map(|before| before.get_ref().as_table());
            let same = id(table).and_then(|mine| same.into_iter().find(|before| id(before) == Some(mine)));
            let hooks = same.and_then(|same| same.get_key_value("hooks"));
            if let (Some((key, value)), None) = (hooks, table.get("hooks")) {
                table.insert(key.clone(), value.clone());
            }
        }
        all.push(Spanned::new(span, app));
    }
    all
}

fn id<'t>(app: &'t DeTable<'_>) -> Option<&'t str> {
    app.get("id").and_then(|id| id.get_ref().as_str())
}

fn replace_endpoints<'a>(top: &mut DeTable<'a>, endpoints: &Spanned<DeValue<'a>>) {
    let Some(apps) = top.get_mut("apps") else { return };
    let DeValue::Array(apps) = apps.get_mut() else { return };
    for app in apps.iter_mut() {
        if let DeValue::Table(app) = app.get_mut() {
            app.remove("hooks");
            app.insert(Spanned::new(endpoints.span(), "hooks".into()), endpoints.clone());
        }
    }
}

/// The same table, with all its places this much further on.
pub(super) fn moved<'a>(table: DeTable<'a>, by: usize) -> DeTable<'a> {
    table
        .into_iter()
        .map(|(key, value)| {
            let span = further(&key, by);
            (Spanned::new(span, key.into_inner()), moved_value(value, by))
        })
        .collect()
}

fn moved_value<'a>(value: Spanned<DeValue<'a>>, by: usize) -> Spanned<DeValue<'a>> {
    let span = further(&value, by);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved(table, by)),
        DeValue::Array(array) => {
            let mut all = DeArray::new();
            array.into_iter().for_each(|item| all.push(moved_value(item, by)));
            DeValue::Array(all)
        }
        plain => plain,
    };
    Spanned::new(span, value)
}

fn further<T>(spanned: &Spanned<T>, by: usize) -> std::ops::Range<usize> {
    let span = spanned.span();
    span.start + by..span.end + by
}
