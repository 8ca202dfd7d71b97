//! The rules of a cluster that can be broken, for the simulation of several nodes (`tests/cluster_sim`).
//!
//! Rules of the scripts are broken in the modelled server (`Rule` in `tests/cluster_sim/server.rs`). Some that other designs need
//! cannot be broken here: answers and events come in one inbox, so none is taken for another by its command and nothing is read
//! from its end; the numbers of entries are dense, so what is trimmed is noticed; giving up an earlier session is a numbered
//! command like all others; a node that beats before its last beat is answered judges others by beats that were sent a whole pace
//! apart, on a connection that is given up before four of those have waited. That tickets name Enters, that Enters come before
//! their Join, and that Joined alone lets nobody in have become harmless: users that were let in before the server has answered
//! are kept by other rules.

use crate::table::{Mutant, after, instead};

/// All of them.
pub const CLUSTER_MUTANTS: &[Mutant] = &[
    Mutant {
        name: "SameEpoch",
        breaks: "A session takes the epoch of the one before it.",
        places: &[instead(
            "cluster/session/mod.rs",
            "Epoch((self.random)())",
            "self.last.unwrap_or_else(|| Epoch((self.random)()))",
        )],
    },
    Mutant {
        name: "NotClosed",
        breaks: "A session that begins does not close the one before it, whose commands may come late.",
        places: &[instead("cluster/session/mod.rs", "self.last", "None")
            .within("(self.last, Arc::clone(&self.digest))")],
    },
    Mutant {
        name: "KilledAtOnce",
        breaks: "A session is dead when its beat was seen unchanged once.",
        places: &[instead("cluster/session/watch.rs", "seen.times >= UNCHANGED_MAX", "seen.times >= 1")],
    },
    Mutant {
        name: "WatchKept",
        breaks: "What a session has seen of others counts after its connection was broken, and in the next session.",
        places: &[
            instead("cluster/session/answers.rs", "self.watch.begin_anew();", "")
                .within("self.inbox.begin_anew();\n        self.watch.begin_anew();"),
            instead("cluster/session/answers.rs", "self.watch.begin_anew();", "")
                .within("self.stats.resumed += 1;\n        self.watch.begin_anew();"),
        ],
    },
    Mutant {
        name: "RetiredFirst",
        breaks: "An earlier session is given up before the homes have told what they hold.",
        places: &[after(
            "cluster/session/answers.rs",
            "self.tell_all(|| News::Begun);",
            "if let Some(epoch) = self.retires.take() {
                self.commands.push(crate::cluster::command::Command::Retire { epoch }, None);
            }",
        )],
    },
    Mutant {
        name: "RetiredAfterOneHome",
        breaks: "An earlier session is given up when one home of several has told what it holds.",
        places: &[instead(
            "cluster/session/said.rs",
            "self.retold < self.topics.shards()",
            "self.retold < 1",
        )],
    },
    Mutant {
        name: "NoSessionNumber",
        breaks: "What homes and a bus say to each other counts in any session.",
        places: &[
            instead("cluster/session/mod.rs", "said.session == self.number", "true"),
            instead(
                "shard/home/cluster/sessions.rs",
                "self.session(server) == Some(session)",
                "self.session(server).is_some()",
            )
            .within("let is_it = self.session(server) == Some(session);"),
        ],
    },
    Mutant {
        name: "NothingSentAgain",
        breaks: "What was sent on a connection that has broken is not sent again.",
        places: &[instead("cluster/session/mod.rs", "self.commands.send_again();", "")],
    },
    Mutant {
        name: "NotReadAgain",
        breaks: "What was read and not taken when the connection broke is taken in the next session.",
        places: &[
            instead("cluster/session/inbox.rs", "self.waiting.clear();", "")
                .within("pub(super) fn begin_anew(&mut self) {\n        self.waiting.clear();"),
            instead("cluster/session/inbox.rs", "self.waiting.clear();", "")
                .within("pub(super) fn read_again(&mut self) {\n        self.waiting.clear();"),
        ],
    },
    Mutant {
        name: "NoWindow",
        breaks: "Any number of questions is asked at once.",
        places: &[instead(
            "cluster/session/commands.rs",
            "self.asked_bytes + question.answer_bytes > self.window_bytes",
            "false",
        )],
    },
    Mutant {
        name: "CommandsWithoutBound",
        breaks: "Homes are taken from whatever is not acknowledged.",
        places: &[instead("cluster/session/mod.rs", "self.commands.is_full()", "false")
            .within("matches!(self.state, State::Up(_)) && self.commands.is_full()\n    }")],
    },
    Mutant {
        name: "PublishesSentAgain",
        breaks: "Events that a lost session has left are sent in the next one, too.",
        places: &[
            instead(
                "cluster/session/commands.rs",
                "self.queue.clear();",
                "self.queue.retain(|it| matches!(it.command, Command::Publish { .. }));",
            ),
            instead(
                "cluster/session/commands.rs",
                "(self.bytes, self.first, self.sent, self.asked_bytes, self.asked_to) = (0, 1, 0, 0, 0);",
                "self.bytes = self.queue.iter().map(|it| it.command.bytes()).sum();
                (self.first, self.sent, self.asked_bytes, self.asked_to) = (1, 0, 0, 0);",
            ),
        ],
    },
    Mutant {
        name: "ExclusionByNumber",
        breaks: "The client that must not get an event is known by the numbers of its node, shard and slot.",
        places: &[instead(
            "shard/fanout/connections.rs",
            "(connection.second == socket_id.second).then_some(id)",
            "Some(id)",
        )],
    },
    Mutant {
        name: "QuestionsCountedTwice",
        breaks: "A question that is sent again takes room in the window again.",
        places: &[instead("cluster/session/commands.rs", "number > self.asked_to", "true")],
    },
    Mutant {
        name: "NewsWaitForRoom",
        breaks: "A home takes nothing from servers while what it has for them has no room.",
        places: &[instead(
            "shard/inbound/rotation.rs",
            "!self.home.may_take_news()",
            "self.home.is_backed_up()",
        )],
    },
    Mutant {
        name: "NoLinkEpoch",
        breaks: "The answer to an earlier Join counts as that to the last one.",
        places: &[instead("shard/home/cluster/links.rs", "self.number == number", "true")],
    },
    Mutant {
        name: "NotReconciled",
        breaks: "Who has come and gone while there was no session is not told.",
        places: &[instead(
            "shard/home/cluster/news.rs",
            "self.home.roster_changes(topic, members)",
            "Vec::new()",
        )],
    },
    Mutant {
        name: "EchoesDropped",
        breaks: "Events that do not come back are not delivered.",
        places: &[instead("shard/home/cluster/publishing.rs", "lane.echoes.push(event.clone())", "0")
            .within("let echo = if has_link { lane.echoes.push(event.clone()) } else { 0 };")],
    },
    Mutant {
        name: "EchoesEndEarly",
        breaks: "An event counts as come back when it was handed to the bus.",
        places: &[after(
            "cluster/session/said.rs",
            "self.commands.push(Command::Publish { topic, data, cache_ms }, None);",
            "self.tell(home, crate::cluster::bus::News::Echoed(echo));",
        )],
    },
    Mutant {
        name: "EchoesKept",
        breaks: "Events that have come back are delivered again when the session is lost.",
        places: &[instead("shard/home/cluster/publishing.rs", "lane.echoes.end(echo)", "None")],
    },
    Mutant {
        name: "EchoesOvertaken",
        breaks: "What is published when a session is lost overtakes what has not come back.",
        places: &[instead("shard/home/cluster/publishing.rs", "!lane.echoes.is_empty()", "false")
            .within("let lines_up = !lane.echoes.is_empty();")],
    },
    Mutant {
        name: "PublishOvertakesJoin",
        breaks: "An event is published before the link of its topic was told.",
        places: &[instead(
            "shard/home/cluster/publishing.rs",
            "self.tell_link(&event.topic, subscriptions);",
            "",
        )],
    },
    Mutant {
        name: "NewsBeforeEchoes",
        breaks: "The next session begins before what the last one has left is delivered.",
        places: &[instead("shard/home/mod.rs", "!cluster.is_draining()", "true")],
    },
    Mutant {
        name: "NothingRetold",
        breaks: "What a home holds is not told in the next session.",
        places: &[instead("shard/home/cluster/sessions.rs", "link.told != session", "false")
            .within("link.filter(|link| link.server == server && link.told != session)")],
    },
    Mutant {
        name: "ExitNotTold",
        breaks: "A user that leaves this node is not told.",
        places: &[instead("shard/home/cluster/members.rs", "session == Some(told) && is_in", "false")],
    },
    Mutant {
        name: "NotForced",
        breaks: "A user that is told anew, or was let in before the server has answered, is refused like any other.",
        places: &[
            instead("shard/home/cluster/joining.rs", "true", "false").within("force: true"),
            instead("shard/home/cluster/members.rs", "true", "false").within("force: true"),
        ],
    },
    Mutant {
        name: "EndOfLinkNotTold",
        breaks: "A topic that nobody on this node subscribes to any more is not told.",
        places: &[instead(
            "shard/home/cluster/joining.rs",
            "was_asked && self.session(server) == Some(told)",
            "false",
        )],
    },
    Mutant {
        name: "CountNotTold",
        breaks: "How many subscribe to a topic on this node is told with its Join alone.",
        places: &[instead("shard/home/cluster/counts.rs", "subscriptions > 0", "false")
            .within("std::mem::take(&mut link.count_is_due) && subscriptions > 0")],
    },
    Mutant {
        name: "LateOnesTakenOut",
        breaks: "A user that was let in before the server has answered is taken out by what happened before.",
        places: &[
            instead(
                "shard/home/cluster/members.rs",
                "link.is_some_and(|link| link.is_unanswered(id))",
                "false",
            ),
            instead("shard/home/mod.rs", "home.roster.is_here(&member.user_id)", "false")
                .within("Change::Removed(member) if home.roster.is_here(&member.user_id) => [None, None],"),
        ],
    },
    Mutant {
        name: "DeadLinkHears",
        breaks: "What servers say of a topic counts before its link is live.",
        places: &[instead(
            "shard/home/cluster/links.rs",
            "self.live && session == Some(self.told)",
            "session == Some(self.told)",
        )],
    },
    Mutant {
        name: "SignInNotTold",
        breaks: "Other nodes do not hear that a user has signed in here.",
        places: &[instead("shard/home/cluster/users.rs", "cluster.sign_in(topic, subscriptions)", "{}")],
    },
    Mutant {
        name: "SignOutNotTold",
        breaks: "Other nodes do not hear that a user is not signed in here any more.",
        places: &[instead("shard/home/cluster/users.rs", "cluster.sign_out(topic, subscriptions)", "{}")],
    },
    Mutant {
        name: "WatchNotTold",
        breaks: "A node hears nothing of users who are watched on it.",
        places: &[instead(
            "shard/home/cluster/links.rs",
            "subscriptions + u64::from(self.is_watched)",
            "subscriptions",
        )],
    },
    Mutant {
        name: "LastSubscriberEndsWatch",
        breaks: "A node hears no more of a user who is watched on it when nobody subscribes to the user's channel there.",
        places: &[instead("shard/home/cluster/joining.rs", "link.is_watched", "false")],
    },
    Mutant {
        name: "WatchOutlivesWatchers",
        breaks: "A node hears of users whom nobody watches there any more.",
        places: &[instead("shard/home/cluster/users.rs", "cluster.unwatch(topic, subscriptions)", "{}")],
    },
    Mutant {
        name: "WatchAnsweredEarly",
        breaks: "Who watches a user is told that it is offline before the server has answered.",
        places: &[instead(
            "shard/home/users.rs",
            "change.online || self.may_say_offline(from, topic)",
            "true",
        )],
    },
    Mutant {
        name: "GoneBeforeTheAnswer",
        breaks: "Who has gone from this node is offline before the server has answered whether it is on others.",
        places: &[instead("shard/home/users.rs", "self.waits_for_answer(&topic)", "false")],
    },
    Mutant {
        name: "ElsewhereNotCounted",
        breaks: "A user who is signed in on another node alone is offline.",
        places: &[instead("shard/home/users.rs", "user.is_signed_in() || elsewhere", "user.is_signed_in()")],
    },
    Mutant {
        name: "UsersNotReconciled",
        breaks: "Who has signed in or out while there was no session stays what it was.",
        places: &[instead(
            "shard/home/cluster/news.rs",
            "self.hear_of_signed_in(&topic, !members.is_empty());",
            "",
        )],
    },
    Mutant {
        name: "TerminatedHereAlone",
        breaks: "Other nodes do not hear that the connections of a user must go.",
        places: &[instead("shard/home/roots.rs", "self.home.terminate_on_all_nodes(&terminate);", "")],
    },
    Mutant {
        name: "MissedOrdersForgotten",
        breaks: "A node does not do what all were told to do while it had no session.",
        places: &[instead(
            "cluster/session/answers.rs",
            "self.tell_all(|| News::Order(order.clone()));",
            "drop(order);",
        )],
    },
    Mutant {
        name: "OrdersBeforeTheFirstSessionForgotten",
        breaks: "A node does not do what all were told to do before it had a session for the first time.",
        places: &[instead(
            "cluster/session/mod.rs",
            "Since::Ago(life_ms)",
            "{ let _ = life_ms; Since::Ago(0) }",
        )],
    },
    Mutant {
        name: "LeavingNodesJudgeAtEachBeat",
        breaks: "A node that stops soon, and beats more often, takes others for dead that beat as they should.",
        places: &[instead(
            "cluster/session/answers.rs",
            "asked.sent.mono_ms < judged_ms + self.pace.beat_ms",
            "asked.sent.mono_ms < judged_ms",
        )],
    },
    Mutant {
        name: "OwnLinksCountTwice",
        breaks: "A server that is asked about other nodes counts this one, too.",
        places: &[instead(
            "cluster/session/lookups.rs",
            "[epoch].into_iter().chain(self.retires).collect()",
            "self.retires.into_iter().collect()",
        )],
    },
    Mutant {
        name: "AskedOnce",
        breaks: "What had no answer when a connection broke counts as sent on the next one.",
        places: &[instead("cluster/session/mod.rs", "self.lookups.send_again();", "")],
    },
    Mutant {
        name: "FirstSliceIsAll",
        breaks: "The first slice of a list is taken for the whole.",
        places: &[instead(
            "shard/home/cluster/lookups.rs",
            "Ok(Some(next).filter(|next| *next > 0))",
            "Ok(Some(next).filter(|_| false))",
        )],
    },
    Mutant {
        name: "LookupsOutliveSessions",
        breaks: "A question waits for ever when its session is lost.",
        places: &[
            instead("shard/home/cluster/news.rs", "self.home.end_lookups(server);", ""),
            instead("shard/home/cluster/lookups.rs", "due_ms <= now_ms", "due_ms < 1"),
        ],
    },
    Mutant {
        name: "OthersNotCounted",
        breaks: "Subscribers are told how many they are on their node alone.",
        places: &[instead("shard/home/subscription_counts.rs", "here + channel.elsewhere", "here")],
    },
    Mutant {
        name: "OthersCountedAtJoinAlone",
        breaks: "What other nodes count later is not heard.",
        places: &[instead(
            "shard/home/cluster/news.rs",
            "self.home.take_elsewhere(&topic, subscriptions);",
            "",
        )],
    },
    Mutant {
        name: "OthersNotCountedAtJoin",
        breaks: "What other nodes have counted before is not heard.",
        places: &[instead("shard/home/cluster/news.rs", "self.home.take_elsewhere(&topic, elsewhere);", "")],
    },
    Mutant {
        name: "OthersChangeNobodysCount",
        breaks: "Subscribers are not told when other nodes have more or fewer.",
        places: &[instead("shard/home/cluster/counts.rs", "self.note_count_elsewhere(topic);", "")],
    },
    Mutant {
        name: "OthersKept",
        breaks: "Members of other nodes stay listed however long their server is away.",
        places: &[instead("shard/home/cluster/forgetting.rs", "self.home.others(&topic)", "Vec::new()")],
    },
    Mutant {
        name: "UsersElsewhereKept",
        breaks: "Users of other nodes stay online however long their server is away.",
        places: &[instead("shard/home/cluster/forgetting.rs", "self.hear_of_signed_in(&topic, false);", "")],
    },
    Mutant {
        name: "CountsElsewhereKept",
        breaks: "Subscriptions of other nodes are counted however long their server is away.",
        places: &[instead("shard/home/cluster/forgetting.rs", "self.home.take_elsewhere(&topic, 0);", "")],
    },
    Mutant {
        name: "GoneUsersKept",
        breaks: "A user who signs out on this node without a session stays online.",
        places: &[instead("shard/home/cluster/users.rs", "link.is_signed_in &= !is_alone;", "")],
    },
    Mutant {
        name: "GoneMembersKept",
        breaks: "A user who leaves a channel on this node without a session stays listed.",
        places: &[instead(
            "shard/home/cluster/members.rs",
            "goes.then(|| roster.remove(&member.user_id)).flatten()",
            "None",
        )],
    },
    Mutant {
        name: "ElsewhereOverrules",
        breaks: "A user who is signed in on this node is offline until the server has said that it is not.",
        places: &[instead("shard/home/users.rs", "user.is_signed_in() || elsewhere", "elsewhere")],
    },
    Mutant {
        name: "AloneWaits",
        breaks: "Who waits for an answer of a session that is lost is not let in.",
        places: &[instead(
            "shard/home/cluster/sessions.rs",
            "self.released.extend(released.into_iter().map(|(_, topic)| topic));",
            "self.waiting.extend(released);",
        )],
    },
];
