//! The connections of an app are counted at once: no shard is asked, so a full one delays nothing.

use super::*;

#[test]
fn open_connections_are_told_without_asking_a_shard() {
    let mut rig = Rig::new();
    (0..SHARDS).for_each(|shard| rig.fill(shard));
    let asker = rig.open();
    let admissions = [rig.app.admit().unwrap(), rig.app.admit().unwrap()];
    let request = rig.signed("GET", "/apps/1/connections", &[], "");
    let before: usize = rig.mesh.sent.iter().map(Vec::len).sum();
    rig.send(asker, request.clone());
    rig.run();
    assert_eq!(rig.responses(asker), [(200, r#"{"connections":2}"#.into())]);
    assert_eq!(rig.mesh.sent.iter().map(Vec::len).sum::<usize>(), before);
    drop(admissions);
    rig.send(asker, request);
    rig.run();
    assert_eq!(rig.responses(asker), [(200, r#"{"connections":0}"#.into())]);
}
