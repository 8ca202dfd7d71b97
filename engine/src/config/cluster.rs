//! `[cluster]`: the Redis servers that join this node with others.
//!
//! What must never happen here: a URL in a message, because it may hold a password.

use std::time::Duration;

use bus::server::Server;

use super::fault::Fault;
use super::section::Value;
use super::table::Table;
use crate::settings::Cluster;

/// The cluster of `[cluster]`; without it the node is alone.
pub(super) fn parse_cluster(value: Option<Value<'_>>) -> Result<Cluster, Fault> {
    let mut cluster = Cluster::default();
    let Some(value) = value else { return Ok(cluster) };
    let mut section = value.section(Table::Cluster)?;
    let urls = section.take("redis");
    let is_alone = urls.is_none();
    let refuse_alone = |value: &Value<'_>| match is_alone {
        true => Err(value.fault("has no effect without redis: name a server there, or with --cluster")),
        false => Ok(()),
    };
    for url in urls.map(Value::texts).transpose()?.into_iter().flatten() {
        let server = Server::parse(url.text()?).map_err(|why| url.fault(why))?;
        if cluster.servers.iter().any(|other| other.name() == server.name()) {
            return Err(url.fault("names the same server as another one"));
        }
        cluster.servers.push(server);
    }
    if let Some(value) = section.take("lease_s") {
        refuse_alone(&value)?;
        cluster.lease = Duration::from_secs(value.integer()?);
    }
    if let Some(value) = section.take("remote_members_kept_s") {
        refuse_alone(&value)?;
        cluster.members_kept = Duration::from_secs(value.integer()?);
    }
    if let Some(value) = section.take("prefix") {
        refuse_alone(&value)?;
        let prefix = value.filled_text()?;
        if prefix.contains(['{', '}']) {
            return Err(value.fault("must not contain { or }: the server puts braces around it"));
        }
        cluster.prefix = prefix.to_owned();
    }
    Ok(cluster)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parsed(text: &str) -> Result<Config, String> {
        Config::parse("c", &format!("[cluster]\n{text}")).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_cluster_has_servers_a_lease_and_a_prefix() {
        let cluster = parsed(
            "redis = [\"redis://a\", \"rediss://u:p@b:1/2\"]\nlease_s = 20\nremote_members_kept_s = 5\nprefix = \"x\"",
        );
        let cluster = cluster.unwrap().cluster;
        let names: Vec<&str> = cluster.servers.iter().map(|server| server.name()).collect();
        assert_eq!(names, ["a:6379", "b:1/2"]);
        let seconds = (cluster.lease.as_secs(), cluster.members_kept.as_secs());
        assert_eq!((seconds, &*cluster.prefix), ((20, 5), "x"));
        let one = parsed("redis = \"redis://a\"").unwrap().cluster;
        assert_eq!((one.servers.len(), one.lease.as_secs(), &*one.prefix), (1, 10, "corecast"));
        assert_eq!(one.members_kept.as_secs(), 60);
        assert!(Config::parse("c", "").unwrap().cluster.servers.is_empty());
    }

    #[test]
    fn faults_say_what_is_wrong_and_no_password() {
        for (text, what) in [
            ("redis = \"http://user:hunter2@h\"", "redis://USER:PASSWORD@HOST"),
            ("redis = [\"redis://h\", \"redis://user:hunter2@h:6379\"]", "the same server"),
            ("redis = []", "empty list"),
            ("lease_s = 10", "no effect without redis"),
            ("remote_members_kept_s = 5", "no effect without redis"),
            ("prefix = \"x\"", "no effect without redis"),
            ("redis = \"redis://h\"\nlease_s = 1", "2"),
            ("redis = \"redis://h\"\nprefix = \"{x}\"", "must not contain"),
            ("redis = \"redis://h\"\nprefix = \"\"", "prefix"),
        ] {
            let fault = parsed(text).unwrap_err();
            assert!(fault.contains(what) && !fault.contains("hunter2"), "{text}: {fault}");
        }
    }
}
