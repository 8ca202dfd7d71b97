//! Terminating a user: every shard is told once, and the caller is answered when the last of them is.

use super::*;

const PATH: &str = "/apps/1/users/a%20b/terminate_connections";

/// Users that a shard was told of.
fn told(rig: &Rig, shard: usize) -> Vec<String> {
    let users = rig.mesh.sent[shard].iter().filter_map(|root| match root {
        Root::Terminate(terminate) => Some(format!("{}:{}", terminate.app.id, terminate.user_id)),
        _ => None,
    });
    users.collect()
}

#[test]
fn every_shard_is_told_and_the_caller_answered_at_once() {
    let mut rig = Rig::new();
    let caller = rig.open();
    for body in ["{}", ""] {
        let request = rig.signed("POST", PATH, &[], body);
        rig.send(caller, request);
        rig.run();
        assert_eq!(rig.responses(caller), [(200, "{}".into())]);
        for shard in 0..SHARDS {
            assert_eq!(told(&rig, shard), ["1:a b"]);
            rig.mesh.sent[shard].clear();
        }
    }
    rig.assert_nothing_is_left();
}

#[test]
fn the_answer_waits_for_a_full_shard_and_the_others_do_not() {
    let mut rig = Rig::new();
    rig.fill(1);
    let caller = rig.open();
    let request = rig.signed("POST", PATH, &[], "{}");
    rig.send(caller, request);
    rig.run();
    assert_eq!(rig.statuses(caller), NONE);
    assert_eq!((told(&rig, 0).len(), told(&rig, 1).len(), told(&rig, 2).len()), (1, 0, 1));
    rig.reopen(1);
    assert_eq!(rig.statuses(caller), [200]);
    assert!(matches!(rig.mesh.sent[1].last(), Some(Root::Terminate(_))), "behind the events before it");
    rig.assert_nothing_is_left();
}

#[test]
fn a_shard_that_cannot_be_told_in_time_is_503() {
    let mut rig = Rig::new();
    rig.fill(1);
    let caller = rig.open();
    let request = rig.signed("POST", PATH, &[], "{}");
    rig.send(caller, request);
    rig.run();
    rig.run_after(5_000);
    assert_eq!(rig.statuses(caller), [503]);
    rig.assert_nothing_is_left();
    rig.reopen(1);
    assert!(told(&rig, 1).is_empty());
}
