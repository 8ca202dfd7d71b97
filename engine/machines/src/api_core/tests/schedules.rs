//! Random schedules: publishers, askers, closed links, peers that go or do not read. Whatever happens, every request of
//! a peer that stays is answered once and in order, events of one publisher keep their order, and nothing is left.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Publish { peer: usize, channels: Vec<u8>, info: bool },
    AskChannels(usize),
    Terminate(usize),
    Probe(usize),
    Link(usize, bool),
    Hear(usize, bool),
    HangUp(usize),
    Answer(usize),
    Turn,
}

const PEERS: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let peer = 0..PEERS;
    prop_oneof![
        6 => (peer.clone(), proptest::collection::vec(0_u8..9, 1..4), any::<bool>())
            .prop_map(|(peer, channels, info)| Step::Publish { peer, channels, info }),
        1 => peer.clone().prop_map(Step::AskChannels),
        1 => peer.clone().prop_map(Step::Terminate),
        1 => peer.clone().prop_map(Step::Probe),
        2 => (0..SHARDS, any::<bool>()).prop_map(|(home, open)| Step::Link(home, open)),
        1 => (peer.clone(), any::<bool>()).prop_map(|(peer, hears)| Step::Hear(peer, hears)),
        1 => (3..PEERS).prop_map(Step::HangUp),
        2 => (0..SHARDS).prop_map(Step::Answer),
        4 => Just(Step::Turn),
    ]
}

struct Schedule {
    rig: Rig,
    peers: Vec<Token>,
    /// What each peer's responses must hold, in order.
    owed: Vec<Vec<&'static str>>,
    /// What was published: the peer, its number among the peer's events, and the channel.
    published: Vec<(usize, usize, String)>,
    /// How many users were terminated, each known by its number.
    terminated: usize,
    gone: HashSet<usize>,
}

impl Schedule {
    fn new() -> Self {
        let mut rig = Rig::new();
        let peers = (0..PEERS).map(|_| rig.open()).collect();
        let owed = vec![Vec::new(); PEERS];
        Self { rig, peers, owed, published: Vec::new(), terminated: 0, gone: HashSet::new() }
    }

    fn ask(&mut self, peer: usize, request: String, marker: &'static str) {
        if !self.gone.contains(&peer) {
            self.owed[peer].push(marker);
            self.rig.send(self.peers[peer], request);
        }
    }

    fn publish(&mut self, peer: usize, channels: &[u8], info: bool) {
        if self.gone.contains(&peer) {
            return;
        }
        let mut names: Vec<_> = channels.iter().map(|channel| format!("c{channel}")).collect();
        names.sort();
        names.dedup();
        let number = self.owed[peer].len();
        let refs: Vec<_> = names.iter().map(|name| &**name).collect();
        let request =
            self.rig.event(&refs, &format!("{peer}.{number}"), if info { "subscription_count" } else { "" });
        self.ask(peer, request, if info { r#"{"channels":{"c"# } else { "{}" });
        self.published.extend(names.into_iter().map(|name| (peer, number, name)));
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Publish { peer, channels, info } => self.publish(peer, &channels, info),
            Step::AskChannels(peer) => {
                let request = self.rig.signed("GET", "/apps/1/channels", &[], "");
                self.ask(peer, request, r#"{"channels":{}}"#);
            }
            Step::Terminate(peer) if self.gone.contains(&peer) => {}
            Step::Terminate(peer) => {
                let path = format!("/apps/1/users/{}/terminate_connections", self.terminated);
                self.terminated += 1;
                let request = self.rig.signed("POST", &path, &[], "{}");
                self.ask(peer, request, "{}");
            }
            Step::Probe(peer) => {
                self.ask(peer, "GET /live HTTP/1.1\r\nHost: h\r\n\r\n".into(), r#"{"live":true}"#);
            }
            Step::Link(home, open) => self.rig.mesh.open[home] = open,
            Step::Hear(peer, true) => self.rig.listen(self.peers[peer]),
            Step::Hear(peer, false) => drop(self.rig.deaf.insert(self.peers[peer])),
            Step::HangUp(peer) if self.gone.insert(peer) => self.rig.hang_up(self.peers[peer]),
            Step::HangUp(_) => {}
            Step::Answer(home) => self.answer(home),
            Step::Turn => drop(self.rig.turn()),
        }
    }

    fn answer(&mut self, home: usize) {
        self.rig.answer(home, |ask| match ask {
            Ask::Channels { .. } => Found::Channels(vec![]),
            Ask::Channel { .. } => Found::Channel(Default::default(), None),
            Ask::Users { .. } => Found::Users(vec![]),
            Ask::Reading => Found::Reading(Box::default()),
            Ask::ChannelsElsewhere { .. } | Ask::IsJoined { .. } => panic!("there are no other nodes"),
            _ => panic!("no client asks that"),
        });
    }

    fn finish(&mut self) {
        self.rig.mesh.open = [true; SHARDS];
        for peer in self.peers.clone() {
            self.rig.listen(peer);
        }
        for _ in 0..1_000 {
            (0..SHARDS).for_each(|home| self.answer(home));
            if !self.rig.turn() && self.rig.inputs.leaves.is_empty() && self.rig.core.calls.is_empty() {
                break;
            }
        }
        self.rig.run();
    }

    fn check_answers(&mut self) {
        for (peer, owed) in self.owed.iter().enumerate() {
            let responses = self.rig.responses(self.peers[peer]);
            assert_eq!(responses.len(), owed.len(), "peer {peer} is answered once for each request");
            for ((status, body), marker) in responses.iter().zip(owed) {
                assert_eq!(*status, 200);
                assert!(body.starts_with(marker), "{body} is not {marker}");
            }
        }
    }

    /// Every event is at its home once, those of one peer to one channel in order, and every shard is told of each user.
    fn check_events(&self) {
        let mut told = vec![0; self.terminated];
        let mut arrived: HashMap<(usize, String), Vec<usize>> = HashMap::new();
        for home in 0..SHARDS {
            for root in &self.rig.mesh.sent[home] {
                let publish = match root {
                    Root::Publish(publish) => publish,
                    Root::Terminate(it) => {
                        told[it.user_id.parse::<usize>().unwrap()] += 1;
                        continue;
                    }
                    root => panic!("{root:?}"),
                };
                assert_eq!(self.rig.home(&publish.event.topic.name()), home);
                let event: serde_json::Value = serde_json::from_slice(publish.event.frame.payload()).unwrap();
                let (peer, number) = event["data"].as_str().unwrap().split_once('.').unwrap();
                let key = (peer.parse().unwrap(), publish.event.topic.name().into_owned());
                arrived.entry(key).or_default().push(number.parse().unwrap());
            }
        }
        let mut expected: HashMap<(usize, String), Vec<usize>> = HashMap::new();
        for (peer, number, channel) in &self.published {
            expected.entry((*peer, channel.clone())).or_default().push(*number);
        }
        assert_eq!(arrived, expected);
        assert!(told.iter().all(|shards| *shards == SHARDS), "{told:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_answered_once_and_in_order(steps in proptest::collection::vec(step(), 1..150)) {
        let mut schedule = Schedule::new();
        for step in steps {
            schedule.perform(step);
            // An event and the question behind it are one command.
            assert!(schedule.rig.core.roots.fullest() <= BATCH_MAX + 1, "a batch past its gate");
        }
        schedule.finish();
        schedule.check_answers();
        schedule.check_events();
        schedule.rig.assert_nothing_is_left();
    }
}
