//! Whether a server can be the bus: scripts with flags need Redis 7.0 or Valkey, and it may forget nothing to make room.

use vitals::field;

use crate::fault::Fault;

const OLDEST_MAJOR: u32 = 7;

/// Looks at what INFO says of the server and its memory. What it does not say is not held against it.
pub(crate) fn check(server: &str, memory: &str) -> Result<(), Fault> {
    if let Some(version) = field(server, "redis_version")
        && version
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok())
            .is_some_and(|major| major < OLDEST_MAJOR)
    {
        return Err(Fault::new(format!(
            "it is Redis {version}, whose scripts have no flags: a cluster needs Redis 7.0 or newer, or Valkey"
        )));
    }
    match field(memory, "maxmemory_policy") {
        Some(policy) if policy != "noeviction" => Err(Fault::new(format!(
            "its maxmemory-policy is {policy}, which would make it forget members and links: set it to noeviction"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_and_those_that_evict_are_told_what_is_missing() {
        let check = |version: &str, policy: &str| {
            let server = format!("# Server\r\nredis_version:{version}\r\nvalkey_version:1.0\r\n");
            check(&server, &format!("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:{policy}\r\n"))
        };
        for version in ["7.0.15", "7.2.4", "8.0.0", "10.1"] {
            assert_eq!(check(version, "noeviction"), Ok(()));
        }
        for version in ["6.2.14", "5.0.7"] {
            let fault = check(version, "noeviction").unwrap_err().to_string();
            assert!(fault.contains(version) && fault.contains("7.0"), "{fault}");
        }
        for policy in ["allkeys-lru", "volatile-ttl"] {
            let fault = check("7.0.0", policy).unwrap_err().to_string();
            assert!(fault.contains(policy) && fault.contains("noeviction"), "{fault}");
        }
        assert_eq!(super::check("", ""), Ok(()));
    }
}
