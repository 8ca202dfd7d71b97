//! The rules that can be broken: each mutant's name, what it breaks, and where in the machines' source.
//!
//! A place is code that stands exactly once in its file, or once in `within` where that stands once. Code in place of
//! code is an expression or whole statements; what is put before or after a place is statements.

/// One rule, broken.
#[derive(Debug)]
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub breaks: &'static str,
    /// Where.
    pub places: &'static [Place],
}

/// One change to the source.
#[derive(Debug)]
pub struct Place {
    /// Where the code of the mutant goes.
    pub edit: Edit,
    /// The file, from the machines' src.
    pub file: &'static str,
    /// Where in it, if `original` alone stands there more than once.
    pub within: &'static str,
    /// The code that the mutant's is put to.
    pub original: &'static str,
    /// What the mutant does.
    pub code: &'static str,
}

/// Where the code of a mutant goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edit {
    /// It is done instead.
    Instead,
    /// It is done first.
    Before,
    /// It is done afterwards.
    After,
}

pub(crate) const fn instead(file: &'static str, original: &'static str, code: &'static str) -> Place {
    Place { edit: Edit::Instead, file, within: "", original, code }
}

const fn before(file: &'static str, original: &'static str, code: &'static str) -> Place {
    Place { edit: Edit::Before, file, within: "", original, code }
}

pub(crate) const fn after(file: &'static str, original: &'static str, code: &'static str) -> Place {
    Place { edit: Edit::After, file, within: "", original, code }
}

impl Place {
    pub(crate) const fn within(self, within: &'static str) -> Self {
        Self { within, ..self }
    }
}

/// All mutants.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "NoTicket",
        breaks: "An answer of the home shard goes to whichever subscription of the connection waits for that channel.",
        places: &[instead("shard/fanout/subscriptions.rs", "it.ticket == sub.ticket", "true")],
    },
    Mutant {
        name: "NoEpoch",
        breaks: "Links are not told apart from their predecessors, on both sides.",
        places: &[
            instead("shard/links/mod.rs", "link.epoch != epoch", "false")
                .within("if link.epoch != epoch || link.live {"),
            instead("shard/home/links.rs", "self.epoch == epoch", "true"),
            instead("shard/home/mod.rs", "!home.roster.has_shard(from)", "true"),
        ],
    },
    Mutant {
        name: "LaterSubscribersAckedAtOnce",
        breaks: "The first subscriber asks home, later ones are acknowledged at once.",
        places: &[instead(
            "shard/inbound/subscribe.rs",
            "self.links.is_live(topic_slot)",
            "self.links.is_live(topic_slot) || found.is_some()",
        )],
    },
    Mutant {
        name: "RootsWaitForRoots",
        breaks: "Roots wait for room in batches of roots.",
        places: &[instead(
            "shard/inbound/rotation.rs",
            "self.home.is_backed_up()",
            "self.home.is_backed_up() || self.links.any_full()",
        )
        .within("let closed =\n            self.home.is_backed_up()")],
    },
    Mutant {
        name: "JudgedBeforeAttempt",
        breaks: "A consumer is judged by what nobody has tried to write.",
        places: &[instead(
            "shard/shard_machine.rs",
            "self.fanout.poll_dirty()",
            r"match self.fanout.poll_dirty() {
                Some(id) if self.fanout.is_blocked(id) => {
                    self.close_slow(id, Close::SLOW_CONSUMER);
                    self.poll_dirty()
                }
                next => next,
            }",
        )],
    },
    Mutant {
        name: "NoFlushGate",
        breaks: "Input is taken whatever waits to be flushed.",
        places: &[instead(
            "shard/fanout/gate.rs",
            "full || (self.is_over_budget() && !self.flush.is_clean())",
            "false",
        )],
    },
    Mutant {
        name: "RunGrowsAfterSealing",
        breaks: "A Run takes frames of the next phase.",
        places: &[before(
            "shard/fanout/delivery.rs",
            "for touched in std::mem::take(&mut self.flush.touched) {",
            r"let kept: Vec<OpenRun> = self.flush.open.iter().map(OpenRun::sealed_copy).collect();
            self.flush.touched.clear();
            self.flush.open = kept;
            return;",
        )],
    },
    Mutant {
        name: "CountOverwritesAcrossEpochs",
        breaks: "A Count in the open batch is overwritten by one of another epoch.",
        places: &[
            before(
                "shard/links/gone.rs",
                "if let Some(earlier) = self.roots.unsent(home, counted)",
                r"let earlier = self.roots.waiting(home).find_map(|root| match root {
                Root::Count { topic: of, epoch, n } if *of == topic => Some((epoch, n)),
                _ => None,
            });
            if let Some((of_earlier, n_of_earlier)) = earlier {
                (*of_earlier, *n_of_earlier) = (epoch, n);
                self.close_without_subscribers(topic_slot, n);
                return;
            }",
            ),
            instead("shard/home/mod.rs", "!home.roster.has_shard(from)", "true"),
        ],
    },
    Mutant {
        name: "ExitOvertakesEnter",
        breaks: "An Exit goes before what is already in the open batch.",
        places: &[
            before(
                "shard/links/gone.rs",
                "if !wait {",
                r"if !wait {
                self.roots.push_front(home, Root::Exit { topic, sub });
                return false;
            }",
            )
            .within(
                r"if !wait {
            self.roots.push(home, Root::Exit { topic, sub });",
            ),
            instead("shard/home/mod.rs", "!home.roster.has_shard(from)", "true"),
        ],
    },
    Mutant {
        name: "SleepsOnGatedInput",
        breaks: "A core sleeps after a turn that took nothing, whatever it sent or wrote.",
        places: &[instead(
            "turn.rs",
            "gathered | decided | sent | performed | flushed | finished",
            "gathered | decided",
        )],
    },
    Mutant {
        name: "FixedOrderOfClasses",
        breaks: "Every turn begins with the same class of input.",
        places: &[before(
            "shard/inbound/rotation.rs",
            "let mut turns_left = self.limits.rounds_max * Class::COUNT;",
            "class = Class::default();",
        )],
    },
    Mutant {
        name: "WaiterNeverLeaves",
        breaks: "A subscription that goes while it waits stays among the waiters' number.",
        places: &[instead("shard/fanout/subscriptions.rs", "topic.waiting -= 1;", "").within(
            r"self.stats.unsubscribed_waiting += 1;
            topic.waiting -= 1;",
        )],
    },
    Mutant {
        name: "SentEntersAreStruck",
        breaks: "A subscription that goes while it waits takes its Enter back although that was sent.",
        places: &[instead("shard/links/gone.rs", "false", "true").within("_ => false,")],
    },
    Mutant {
        name: "EveryConnectionIsAMember",
        breaks: "Every connection of a user is announced.",
        places: &[instead("shard/home/roots.rs", "entered == Entered::First", "true")
            .within("self.announce(topic, member, entered == Entered::First);")],
    },
    Mutant {
        name: "JoinerHearsItself",
        breaks: "A member is announced after the joiner was let in.",
        places: &[before(
            "shard/home/roots.rs",
            "self.announce(topic, member, entered == Entered::First);",
            r"self.home.admit(from, topic, sub);
            self.grant_all();
            self.announce(topic, member, entered == Entered::First);
            return;",
        )],
    },
    Mutant {
        name: "FanOutBeforeAck",
        breaks: "A subscriber gets events before its acknowledgement.",
        places: &[
            instead("shard/fanout/subscriptions.rs", "it.fanout_index == WAITING", "true"),
            instead(
                "shard/fanout/subscriptions.rs",
                "connection.subscriptions.push(subscription);",
                r"let fanout_index = topic.acknowledged.len() as u32;
            let subscription_index = connection.subscriptions.len() as u32;
            topic.acknowledged.push(Subscriber { slot: sub.connection.slot, subscription_index });
            connection.subscriptions.push(Subscription { fanout_index, ..subscription });",
            ),
        ],
    },
    Mutant {
        name: "ExclusionLosesTheRest",
        breaks: "A sender that was left out once gets nothing more in that phase.",
        places: &[instead("shard/fanout/delivery.rs", "self.open_range(id, topic_slot);", "").within(
            r"self.flush.gain.opened(&mut topic.gain);
            }
            self.open_range(id, topic_slot);",
        )],
    },
    Mutant {
        name: "NoExclusion",
        breaks: "A sender gets its own event.",
        places: &[instead(
            "shard/links/heard.rs",
            "except.and_then(|socket_id| self.fanout.by_socket_id(socket_id))",
            "None",
        )],
    },
    Mutant {
        name: "NodesHaveTheSameConnections",
        breaks: "A connection is left out for one of another node.",
        places: &[instead(
            "shard/fanout/connections.rs",
            "socket_id.place() != Some(self.place)",
            "socket_id.place().is_none_or(|it| it.shard != self.place.shard)",
        )],
    },
    Mutant {
        name: "UnsubscribeKeepsRange",
        breaks: "Unsubscribing leaves the open range open.",
        places: &[instead("shard/fanout/subscriptions.rs", "self.close_range(id, topic_slot);", "")],
    },
    Mutant {
        name: "TicksNeverMeasured",
        breaks: "Events that have waited for a tick are never measured.",
        places: &[instead("shard/fanout/timing.rs", "timed.end <= tried && !waits", "false && !waits")],
    },
    Mutant {
        name: "NobodyBehindTheFirstIsMeasured",
        breaks: "Of events that were received in one moment only the first is ever measured.",
        places: &[instead("shard/fanout/timing.rs", "last.end = end;", "last.end = u64::MAX;")],
    },
    Mutant {
        name: "ObjectsOfOneEventAlone",
        breaks: "Connections that take objects get the first event of a phase and no other.",
        places: &[instead(
            "shard/fanout/delivery.rs",
            "self.flush.open.get_mut(object_run as usize)",
            "self.flush.open.get_mut(object_run as usize).filter(|objects| objects.end() == 0)",
        )],
    },
    Mutant {
        name: "ObjectsAreStrings",
        breaks: "The Run for connections that take objects has strings in it.",
        places: &[instead(
            "shard/fanout/delivery.rs",
            "append_object_form(bytes, frame)",
            "bytes.extend_from_slice(frame.as_bytes())",
        )],
    },
    Mutant {
        name: "NewcomersShareOneForm",
        breaks: "A connection that takes objects and comes in the middle of a phase gets strings for the rest of it.",
        places: &[instead("shard/fanout/delivery.rs", "form == DataForm::String", "true")],
    },
    Mutant {
        name: "ObjectRunOutlivesItsPhase",
        breaks: "A topic keeps the number of its Run for objects when that was sealed.",
        places: &[instead(
            "shard/fanout/delivery.rs",
            "(topic.run, topic.object_run) = (NO_RUN, NO_RUN);",
            "topic.run = NO_RUN;",
        )],
    },
    Mutant {
        name: "RepliesAreStrings",
        breaks: "What is said to one connection alone has strings, whatever that takes.",
        places: &[instead("shard/fanout/writing.rs", "self.form_of(id)", "Default::default()")],
    },
    Mutant {
        name: "GrantsAreStrings",
        breaks: "Rosters and last events have strings, whatever the connection takes.",
        places: &[instead(
            "shard/links/heard.rs",
            "granted_run(&succeeded, replay.as_ref(), form)",
            "granted_run(&succeeded, replay.as_ref(), Default::default())",
        )],
    },
    Mutant {
        name: "JsonOfClientsIsText",
        breaks: "What a client has sent as JSON stays a string for connections that take objects.",
        places: &[instead("shard/inbound/client_events.rs", "data.is_json", "false")],
    },
    Mutant {
        name: "UnsubscribesAreNotAcknowledged",
        breaks: "Connections that take objects do not hear that they are unsubscribed.",
        places: &[instead(
            "shard/inbound/subscribe.rs",
            "self.acknowledge_unsubscribe(id, target.channel);",
            "",
        )],
    },
    Mutant {
        name: "LastCountUnsent",
        breaks: "The last subscriber's going is not told to home.",
        places: &[before(
            "shard/links/gone.rs",
            "link.counted = self.roots.push(home, Root::Count { topic, epoch, n });",
            r"if n == 0 {
                self.close_without_subscribers(topic_slot, n);
                return;
            }",
        )],
    },
    Mutant {
        name: "CloseSendsNoExit",
        breaks: "A connection that closes leaves its members in their rosters.",
        places: &[
            instead(
                "shard/links/gone.rs",
                "gone.needs",
                "if by_close { Needs::Nothing } else { gone.needs }",
            )
            .within("match gone.needs {"),
            instead("shard/home/mod.rs", "!home.roster.has_shard(from)", "true"),
        ],
    },
    Mutant {
        name: "GatedMessageIsDropped",
        breaks: "A message that finds its gate closed is dropped.",
        places: &[
            before(
                "shard/inbound/commands.rs",
                "return Verdict::Gated(home);",
                "if !first_in_line { return Verdict::Taken; }",
            ),
            instead("shard/home/mod.rs", "!home.roster.has_shard(from)", "true"),
        ],
    },
    Mutant {
        name: "NoCommandGate",
        breaks: "A gate of commands does not exist: batches grow without bound.",
        places: &[instead(
            "shard/links/mod.rs",
            "!self.roots.is_full(home) && self.outside.get(home).is_some_and(Outside::is_empty)",
            "true",
        )],
    },
    Mutant {
        name: "WritingIsHearing",
        breaks: "What is sent to a connection counts as a sign of its life.",
        places: &[before(
            "shard/shard_machine.rs",
            "self.fanout.handle_written(token, bytes)",
            "self.note_heard(token);",
        )],
    },
    Mutant {
        name: "AnswerIsForgotten",
        breaks: "A connection that has answered its ping still counts as pinged.",
        places: &[instead(
            "shard/fanout/connections.rs",
            "connection.heard = now;",
            "connection.heard = Heard { pinged: connection.heard.pinged, ..now };",
        )
        .within(
            r"if let Some(connection) = self.connections.by_id(id) {
            connection.heard = now;",
        )],
    },
    Mutant {
        name: "StalledClockRuns",
        breaks: "A connection that is not listened to counts as silent.",
        places: &[instead("shard/fanout/connections.rs", "connection.stalled", "false").within(
            r"if connection.stalled {
            connection.heard",
        )],
    },
    Mutant {
        name: "TerminationSparesWhoWaits",
        breaks: "A user who must go is looked for among acknowledged subscriptions only.",
        places: &[instead(
            "shard/fanout/connections.rs",
            "it.member()",
            "it.member().filter(|_| it.fanout_index != crate::shard::fanout::connection::WAITING)",
        )],
    },
    Mutant {
        name: "TerminationCrossesApps",
        breaks: "Users of the same id in other apps go as well.",
        places: &[instead(
            "shard/ending/terminate.rs",
            "self.wanted.contains(&(app_id, user_id))",
            "self.wanted.iter().any(|it| *it.user_id == *user_id)",
        )],
    },
    Mutant {
        name: "TerminationIgnoresItsSwitch",
        breaks: "Connections go by presence even where the app does not want it.",
        places: &[instead("shard/ending/terminate.rs", "app.terminate_by_presence", "true")
            .within("if app.terminate_by_presence {")],
    },
    Mutant {
        name: "TerminationSparesWhoIsSignedIn",
        breaks: "Only members of presence channels go with their user.",
        places: &[instead(
            "shard/ending/terminate.rs",
            "self.users.user_of(id).is_some_and(wanted)",
            "false && self.users.user_of(id).is_some_and(wanted)",
        )],
    },
    Mutant {
        name: "OwnChannelsAreOpen",
        breaks: "A connection may subscribe to the own channel of another user.",
        places: &[instead(
            "shard/inbound/subscribe.rs",
            "check_own_channel(channel, self.users.user_id_of(id))",
            "check_own_channel(channel, self.users.user_id_of(id).and_then(|_| protocol::channel::user_of_channel(channel)))",
        )],
    },
    Mutant {
        name: "OwnChannelsAreShown",
        breaks: "Whoever asks is told how many connections a user has.",
        places: &[instead("shard/home/mod.rs", "Counts::default()", "self.counts(topic)")
            .within("TopicKey::User { .. } => Counts::default(),")],
    },
    Mutant {
        name: "OwnChannelsAreHooked",
        breaks: "Hooks are told of the own channels of users.",
        places: &[instead("shard/home/mod.rs", "topic.key.is_channel()", "true")],
    },
    Mutant {
        name: "SignsInAsAnother",
        breaks: "A connection that is signed in may sign in as another user.",
        places: &[instead(
            "shard/users/signin.rs",
            "check_signin(&app, socket_id, user_data, auth, signed_in)",
            "check_signin(&app, socket_id, user_data, auth, signed_in.filter(|_| false))",
        )],
    },
    Mutant {
        name: "LastSignOutIsUnsaid",
        breaks: "Home is not told that the last connection of a user has gone.",
        places: &[instead("shard/users/mod.rs", "user.connections == 0", "false")],
    },
    Mutant {
        name: "WatchersTakeTheUser",
        breaks: "A user is online only if every shard that knows it has a connection of it.",
        places: &[instead(
            "shard/home/users.rs",
            "self.shards.iter().any(|on| on.signed_in)",
            "!self.shards.is_empty() && self.shards.iter().all(|on| on.signed_in)",
        )],
    },
    Mutant {
        name: "OfflineAtOnce",
        breaks: "Who watches is told at once that a user has gone.",
        places: &[instead("shard/home/users.rs", "self.now_ms + OFFLINE_MS", "self.now_ms")],
    },
    Mutant {
        name: "ReturnsAreIgnored",
        breaks: "Who watches is told that a user has gone who is back.",
        places: &[instead("shard/home/users.rs", "self.gone.cancel(at) && online", "false")],
    },
    Mutant {
        name: "AskersHearNothing",
        breaks: "A shard that begins to watch a user is told of changes alone.",
        places: &[instead(
            "shard/home/users.rs",
            "before.and_then(|it| it.watches) != word.watches",
            "false",
        )],
    },
    Mutant {
        name: "NewsAreNotGathered",
        breaks: "Each change of a watched user is told at once.",
        places: &[instead("shard/users/watch.rs", "self.now_ms + BATCH_MS", "self.now_ms")],
    },
    Mutant {
        name: "WatchersKeepTheirPlace",
        breaks: "Who takes the place of a watcher that has gone does not know it.",
        places: &[instead("shard/users/watch.rs", "its.at = watch.at;", "")],
    },
    Mutant {
        name: "WatchersOutliveTheirSignIn",
        breaks: "What a connection watched before it signed in again, it goes on watching.",
        places: &[instead("shard/users/mod.rs", "self.leave(id.slot, &earlier);", "let _ = earlier;")],
    },
    Mutant {
        name: "EverythingIsNews",
        breaks: "Who is told of one change is told again of all on its list.",
        places: &[instead(
            "shard/users/watch.rs",
            "watch.told.replace(is) != Some(is)",
            "{\n                watch.told = Some(is);\n                true\n            }",
        )],
    },
    Mutant {
        name: "UsersAreChannelsToHooks",
        breaks: "Hooks are told that the channel of a user is vacated when the user goes offline.",
        places: &[instead(
            "shard/home/edges.rs",
            "HookEvent::UserOffline { app, channel }",
            "HookEvent::ChannelVacated { app, channel }",
        )],
    },
    Mutant {
        name: "SigningInIsNotEnough",
        breaks: "Who has signed in is closed as not authorized.",
        places: &[instead("shard/users/signin.rs", "self.note_authorized(id);", "")],
    },
    Mutant {
        name: "AnySubscriptionAuthorizes",
        breaks: "A subscription to a public channel shows that the back end knows the connection.",
        places: &[instead("shard/inbound/subscribe.rs", "kind.needs_auth()", "true")
            .within("TopicKey::Channel { kind, .. } if kind.needs_auth()")],
    },
    Mutant {
        name: "SlotKeepsItsUser",
        breaks: "The next tenant of a slot is signed in as the last one was.",
        places: &[instead("shard/ending/close.rs", "self.users.sign_out(id);", "")],
    },
    Mutant {
        name: "TerminationJoinsTheWalk",
        breaks: "A user is looked for from where the walk has come to.",
        places: &[
            instead(
                "shard/ending/terminate.rs",
                "self.waiting.len() >= terminations_max",
                "self.wanted.len() >= terminations_max",
            ),
            instead("shard/ending/terminate.rs", "self.waiting.insert(user);", "self.wanted.insert(user);"),
        ],
    },
    Mutant {
        name: "TerminationEndsWithItsStep",
        breaks: "The walk for users who must go ends with its first step.",
        places: &[after(
            "shard/ending/terminate.rs",
            r"looks_left = looks_left.saturating_sub(looks);
        }",
            "self.ending.terminations.end();",
        )],
    },
    Mutant {
        name: "DisabledAppStays",
        breaks: "Connections of a disabled app stay.",
        places: &[instead("shard/ending/apps.rs", "now.enabled", "true").within("filter(|now| now.enabled)")],
    },
    Mutant {
        name: "ChangedAppIsGone",
        breaks: "Connections are closed when the settings of their app change.",
        places: &[instead("shard/ending/apps.rs", "now.enabled", "now.enabled && Arc::ptr_eq(now, app)")
            .within("filter(|now| now.enabled)")],
    },
    Mutant {
        name: "AppStaysAsItWas",
        breaks: "Connections never hear of new settings of their app.",
        places: &[instead("shard/ending/apps.rs", "self.fanout.renew_app(id, &now);", "drop(now);")],
    },
    Mutant {
        name: "AppWalkEndsWithItsStep",
        breaks: "The walk for a new registry of apps ends with its first step.",
        places: &[after(
            "shard/ending/apps.rs",
            "self.ending.app_walk.next_slot = Some(slot);",
            "self.ending.app_walk.end();",
        )],
    },
    Mutant {
        name: "AppWalkMissesTheNext",
        breaks: "A registry that comes during the walk for another one is not walked for.",
        places: &[instead("shard/ending/apps.rs", "self.again = true", "self.again = false")],
    },
    Mutant {
        name: "SourceAskedByEach",
        breaks: "Each client that waits for an app asks for it anew.",
        places: &[instead("app_waits.rs", "return false;", "return true;")],
    },
    Mutant {
        name: "AppearingAppUnnoticed",
        breaks: "An app that appears is not looked for among those that clients wait for.",
        places: &[instead(
            "shard/shard_machine.rs",
            "self.inbound.end_answered_questions();",
            "let _ = &self.inbound;",
        )],
    },
    Mutant {
        name: "AppWaitWithoutEnd",
        breaks: "A client waits for as long as the source does not answer.",
        places: &[instead("shard/shard_machine.rs", "self.inbound.end_late_questions(now);", "let _ = now;")],
    },
    Mutant {
        name: "AppWaitsWithoutBound",
        breaks: "Any number of clients may wait for the source.",
        places: &[instead("app_waits.rs", "self.waiting < limits.app_waits_max", "limits.app_waits_max > 0")],
    },
    Mutant {
        name: "AddressCapIsIgnored",
        breaks: "An address has any number of connections.",
        places: &[instead("address_caps.rs", "*count >= max", "*count == u32::MAX")],
    },
    Mutant {
        name: "AddressPlaceIsKept",
        breaks: "A connection that has gone is still counted for its address.",
        places: &[instead(
            "address_caps.rs",
            "*counts.of(self.counted) -= 1",
            "*counts.of(self.counted) -= 0",
        )],
    },
    Mutant {
        name: "HalfOpenIsNotCounted",
        breaks: "Connections without a head are not counted for their address.",
        places: &[instead("shard/inbound/rotation.rs", "self.count_half_open(now)", "()")],
    },
    Mutant {
        name: "EveryPeerIsAProxy",
        breaks: "Every peer is taken for a trusted proxy, which is never one too many.",
        places: &[instead(
            "shard/inbound/lobby.rs",
            "self.inbound.trusted_proxies.trust(address)",
            "!self.inbound.trusted_proxies.is_empty()",
        )],
    },
    Mutant {
        name: "ClientOfAProxyIsNotTold",
        breaks: "The driver takes the proxy's address for the client's.",
        places: &[instead(
            "shard/inbound/admission.rs",
            "address != peer.address",
            "address == peer.address",
        )],
    },
    Mutant {
        name: "ProxyIsCounted",
        breaks: "A client counts at the address of its proxy.",
        places: &[instead("shard/inbound/admission.rs", "!peer.is_proxy", "peer.address.is_some()")],
    },
    Mutant {
        name: "NewcomersComeAtAnyRate",
        breaks: "Clients of an app connect faster than they may.",
        places: &[instead("shard/inbound/admission.rs", "!app.take_newcomer(now.mono_ms)", "false")],
    },
    Mutant {
        name: "ShortMemoryIsIgnored",
        breaks: "Newcomers are taken though memory is short.",
        places: &[instead("shard/inbound/admission.rs", "self.inbound.memory_is_short", "false")],
    },
    Mutant {
        name: "ShortMemoryStays",
        breaks: "Nobody is taken any more once memory was short.",
        places: &[instead(
            "shard/inbound/mod.rs",
            "self.memory_is_short = is_short",
            "self.memory_is_short |= is_short",
        )],
    },
    Mutant {
        name: "UnansweredIsUnknown",
        breaks: "A source that cannot say whether there is an app sends clients away for good.",
        places: &[instead(
            "shard/inbound/unknown_apps.rs",
            "return Err(Close::APP_UNANSWERED)",
            "return Err(close)",
        )],
    },
    Mutant {
        name: "TlsOnlyForNobody",
        breaks: "An app that is there over TLS only takes everybody.",
        places: &[instead(
            "shard/inbound/admission.rs",
            "app.tls_only && !self.is_secure(token, head)",
            "app.tls_only && token.generation == 0",
        )],
    },
    Mutant {
        name: "TlsForgottenWhileLooking",
        breaks: "Whether a client came by TLS is not known any more when its app has been looked up.",
        places: &[after(
            "shard/inbound/lobby.rs",
            "self.looking.insert(token);",
            "self.secure.remove(&token);",
        )],
    },
    Mutant {
        name: "HandshakeWithoutEnd",
        breaks: "A handshake may take as long as it likes.",
        places: &[instead(
            "shard/inbound/lobby.rs",
            "head.into_iter().chain(handshake)",
            "head.into_iter().chain(handshake.filter(|_| head_ms == 0))",
        )],
    },
    Mutant {
        name: "HandshakeTimeGoesOn",
        breaks: "The time for a handshake goes on when that is over.",
        places: &[instead(
            "shard/inbound/lobby.rs",
            "secure.get(token) == Some(&false)",
            "secure.contains_key(token)",
        )],
    },
    Mutant {
        name: "LookedUpUnheard",
        breaks: "A client that has waited for its app is not read again.",
        places: &[instead(
            "shard/inbound/unknown_apps.rs",
            "self.effects.push_back(Effect::Resume(token));",
            "let _ = token;",
        )],
    },
    Mutant {
        name: "LookedUpAgain",
        breaks: "The source is asked again for what it has just answered.",
        places: &[instead(
            "shard/inbound/unknown_apps.rs",
            "self.handle_head(token, &mut head, Some(verdict), now)",
            "self.handle_head(token, &mut head, Some(verdict).filter(|_| false), now)",
        )],
    },
    Mutant {
        name: "AppWaitThroughDrain",
        breaks: "Those who wait for an app are not told of a drain.",
        places: &[instead(
            "shard/shard_machine.rs",
            "self.inbound.end_all_questions();",
            "let _ = &self.inbound;",
        )],
    },
    Mutant {
        name: "ListEndsWithItsStep",
        breaks: "A list of channels ends with its first step.",
        places: &[instead("shard/home/list.rs", "end == places", "true").within("(end == places)")],
    },
    Mutant {
        name: "ListNamesNewcomers",
        breaks: "A list has channels that are younger than it.",
        places: &[instead("shard/home/list.rs", "*birth < self.births", "true")],
    },
    Mutant {
        name: "CountsOfManyAreNotPutOff",
        breaks: "Every change of the number of subscriptions is told, however many there are.",
        places: &[instead(
            "shard/home/subscription_counts.rs",
            "self.now_ms + self.interval_ms",
            "self.now_ms",
        )],
    },
    Mutant {
        name: "LastCountIsLost",
        breaks: "What has changed while a channel must not be told is never told.",
        places: &[instead("shard/home/subscription_counts.rs", "channel.changed", "false")
            .within("if channel.changed {")],
    },
    Mutant {
        name: "DeparturesAreNotCounted",
        breaks: "Subscribers are told how many they are only when somebody comes.",
        places: &[
            instead("shard/home/mod.rs", "self.note_count(&topic);", ""),
            instead("shard/home/mod.rs", "self.note_count(topic);", "").within(
                r"self.note_count_in_cluster(topic);
            self.note_count(topic);",
            ),
        ],
    },
    Mutant {
        name: "MembersAreCounted",
        breaks: "Subscribers of presence channels are told how many they are, too.",
        places: &[instead(
            "shard/home/subscription_counts.rs",
            "kind.tells_subscription_count()",
            "{ let _ = kind; true }",
        )],
    },
    Mutant {
        name: "EveryChangeIsCounted",
        breaks: "A channel is told each change of its number, also several in one phase.",
        places: &[instead(
            "shard/home/subscription_counts.rs",
            "self.ready.checked_sub(1)?",
            "self.ready.saturating_sub(1)",
        )],
    },
    Mutant {
        name: "CountsPassTheGates",
        breaks: "Subscribers are told how many they are whatever waits to be flushed or sent.",
        places: &[instead(
            "shard/inbound/rotation.rs",
            "self.flush_gate_is_closed() || !self.home.has_room() || !self.tell_next_count()",
            "!self.tell_next_count()",
        )],
    },
    Mutant {
        name: "CountsDueHaveNoBound",
        breaks: "Roots are taken however many channels must be told how many they are.",
        places: &[instead(
            "shard/home/subscription_counts.rs",
            "self.due.len() + coming >= self.due_max",
            "false",
        )],
    },
    Mutant {
        name: "BudgetIsNotKept",
        breaks: "The outboxes of a shard keep whatever they like together.",
        places: &[instead("shard/fanout/budget.rs", "!self.fanout.is_over_budget()", "true")],
    },
    Mutant {
        name: "BudgetTakesAnybody",
        breaks: "Past the budget somebody goes, whether the kernel has refused its bytes or not.",
        places: &[before(
            "shard/fanout/budget.rs",
            "while self.fanout.held_bytes() > enough",
            "worst.extend(self.fanout.connections.next_from(0).map(|id| (usize::MAX, Reverse(id.slot))));",
        )],
    },
    Mutant {
        name: "SlotIsFreeBeforeItsTenantHasLeft",
        breaks: "A slot is free before the subscriptions of its last tenant are given up.",
        places: &[
            instead(
                "shard/fanout/slots.rs",
                "slot.kept += u32::from(!connection.subscriptions.is_empty());",
                "",
            ),
            instead("shard/fanout/departed.rs", "self.let_go(id.slot);", ""),
            instead("shard/links/gone.rs", "self.fanout.keep_slot(slot);", ""),
            instead("shard/links/gone.rs", "self.let_go(sub.connection.slot)", "{}"),
        ],
    },
    Mutant {
        name: "SlotIsFreeBeforeItsEnd",
        breaks: "A slot is free before the driver is told that its tenant has gone.",
        places: &[
            before(
                "shard/ending/close.rs",
                "self.effects.push_back(match last {",
                "self.let_go(token.slot);",
            ),
            instead("shard/ending/close.rs", "self.let_go(token.slot);", ""),
        ],
    },
    Mutant {
        name: "SlotIsNeverFree",
        breaks: "The driver is not told that a slot may have another tenant.",
        places: &[instead("shard/fanout/slots.rs", "(place.kept == 0)", "false")],
    },
    Mutant {
        name: "TenantsHaveOneGeneration",
        breaks: "The next tenant of a slot goes by the generation of the first.",
        places: &[instead("shard/fanout/slots.rs", "id.generation", "1")
            .within("tenant: Some(connection), generation: id.generation")],
    },
    Mutant {
        name: "StaleTokenIsTaken",
        breaks: "The name of a connection that has gone is taken for that of the next in its slot.",
        places: &[instead("shard/fanout/slots.rs", "slot.generation == id.generation", "true")
            .within("if slot.generation == id.generation { slot.tenant.as_mut() }")],
    },
    Mutant {
        name: "DepartedDoNotMove",
        breaks: "A place in a fan-out list that is moved is not noted for those who have gone.",
        places: &[instead("shard/fanout/subscriptions.rs", "self.departed.left_behind(slot)", "None")],
    },
    Mutant {
        name: "DepartureEndsWithItsStep",
        breaks: "Whoever has gone gives up subscriptions in one step only.",
        places: &[instead("shard/fanout/departed.rs", "!self.has_left(id)", "{ self.has_left(id); false }")
            .within("looks_left -= self.give_up(id, looks_left);\n            if !self.has_left(id)")],
    },
    Mutant {
        name: "PartingBytesHaveNoBound",
        breaks: "What is kept of the outboxes of those who are closed has no bound.",
        places: &[instead(
            "outbox/parting.rs",
            "bytes_max.saturating_sub(self.0.kept.bytes())",
            "usize::MAX",
        )],
    },
    Mutant {
        name: "GraceIsIgnored",
        breaks: "A fall is told at once.",
        places: &[instead("shard/home/edges.rs", "if rises { 0 } else { self.grace_ms }", "0")],
    },
    Mutant {
        name: "ReturnDoesNotCancel",
        breaks: "A fall is told although who went has come back.",
        places: &[instead(
            "shard/home/edges.rs",
            r"entry.remove();
                self.falls.live -= 1;
                self.dirty.fall_is_over(topic, fall);",
            "",
        )],
    },
    Mutant {
        name: "RefusedEdgeIsLost",
        breaks: "An edge that the queue refuses is forgotten.",
        places: &[before(
            "shard/home/edges.rs",
            "stats.hook_edges_refused += u64::from(!taken);",
            r"stats.hook_edges_refused += u64::from(!taken);
            return true;",
        )],
    },
    Mutant {
        name: "EventOvertakesEdge",
        breaks: "Events are told while an edge before them is not.",
        places: &[instead(
            "shard/home/edges.rs",
            "!all_told && self.dirty.has(hash, event.app(), event.channel())",
            "false",
        )],
    },
    Mutant {
        name: "RefusedEdgeCostsAllEvents",
        breaks: "An edge that the queue refuses costs the events of all channels.",
        places: &[instead(
            "shard/home/edges.rs",
            "!all_told && self.dirty.has(hash, event.app(), event.channel())",
            "!all_told",
        )],
    },
    Mutant {
        name: "EndTellsFalls",
        breaks: "Who is closed since the server ends is told as gone.",
        places: &[before("shard/home/edges.rs", "self.ends = true;", "return;")],
    },
    Mutant {
        name: "VacatedBeforeRemoved",
        breaks: "A channel is told as vacated before its members are removed.",
        places: &[instead(
            "shard/home/edges.rs",
            "listings.queue.push_back(listing);",
            r"let of_channel = table.find(hash, |edge| edge.has(stamp)).is_some_and(|edge| edge.member.is_none());
            if of_channel && !rises {
                listings.queue.push_front(listing);
            } else {
                listings.queue.push_back(listing);
            }",
        )],
    },
    Mutant {
        name: "OpenEdgesAreIgnored",
        breaks: "What was told before the server began is taken for nothing.",
        places: &[before(
            "shard/home/edges.rs",
            "for OpenEdges { app_id, channel, occupied, members } in open {",
            "return;",
        )],
    },
    Mutant {
        name: "TakersHaveOneSubscription",
        breaks: "Whoever takes an event counts as having one subscription.",
        places: &[instead("shard/fanout/unflushed.rs", "subscriptions as u64", "1")],
    },
    Mutant {
        name: "OnlyThisRoundCounts",
        breaks: "What was gained in the round before this one does not count.",
        places: &[instead(
            "shard/fanout/unflushed.rs",
            "self.before = std::mem::take(&mut self.now);",
            r"self.now = Round::default();
            self.before = Round::default();",
        )],
    },
    Mutant {
        name: "GoneSubscriptionsGainNothing",
        breaks: "What a subscription has gained is forgotten when it goes.",
        places: &[instead("shard/fanout/flush.rs", "self.count_private(connection, bytes);", "").within(
            r"else { 0 };
        self.count_private(connection, bytes);",
        )],
    },
    Mutant {
        name: "UntriedRunsHaveNoBound",
        breaks: "Runs that were not tried for everybody may be as much as they like together.",
        places: &[instead(
            "shard/fanout/gate.rs",
            "self.flush.untried_bytes() > self.limits.unflushed_shard_bytes_max as u64",
            "false",
        )],
    },
    Mutant {
        name: "SharedRosterLacksTheLast",
        breaks: "A roster that several share lacks the last of them.",
        places: &[
            instead(
                "shard/home/topics.rs",
                "server_event::encode_presence_succeeded(&mut bytes, &self.topic.name(), self.roster.members());",
                r"let lacks = usize::from(self.entered.len() > 1).min(self.roster.len());
            let members = self.roster.members().take(self.roster.len() - lacks);
            server_event::encode_presence_succeeded(&mut bytes, &self.topic.name(), members);",
            ),
            instead("shard/home/topics.rs", "bytes.len() == self.roster_bytes()", "true"),
        ],
    },
    Mutant {
        name: "PutOffGrantsWeighNothing",
        breaks: "Grants that are put off do not count in their batches.",
        places: &[instead("shard/home/grants.rs", "from != self.me", "false").within("if from != self.me {")],
    },
    Mutant {
        name: "HeldAreForgotten",
        breaks: "Connections that wait for a tick are not written when it comes.",
        places: &[instead(
            "shard/fanout/pacing.rs",
            "self.flush.release(mark, old, &held, &mut self.connections);",
            "",
        )],
    },
    Mutant {
        name: "HoldsIgnoreTheGate",
        breaks: "Holds go on to their tick however much is waiting.",
        places: &[instead("shard/fanout/pacing.rs", "enough && self.end_holds(u64::MAX)", "false")],
    },
    Mutant {
        name: "HoldsKeepAnyNumberOfRanges",
        breaks: "Outboxes that wait for a tick may have as many ranges as they like.",
        places: &[instead(
            "shard/fanout/pacing.rs",
            "self.flush.ranges_max() >= self.limits.held_ranges_max as u64",
            "false",
        )],
    },
    Mutant {
        name: "TalkIsQuiet",
        breaks: "A shard that hears messages counts as quiet.",
        places: &[instead(
            "shard/inbound/quiet.rs",
            "std::mem::take(&mut self.inbound.quiet.active)",
            "{ self.inbound.quiet.active = false; false }",
        )],
    },
    Mutant {
        name: "FewAreQuiet",
        breaks: "A shard with few connections counts as quiet.",
        places: &[instead(
            "shard/inbound/quiet.rs",
            "self.fanout.connections() < self.limits.nap_connections_min",
            "false",
        )],
    },
    Mutant {
        name: "ClientEventsAreCached",
        breaks: "A cache channel remembers what clients say.",
        places: &[instead(
            "shard/home/cache.rs",
            "*origin == Origin::Client || !topic.key.is_cached()",
            "!topic.key.is_cached()",
        )],
    },
    Mutant {
        name: "CachedForEver",
        breaks: "An event is replayed when its time is over.",
        places: &[
            instead("shard/home/cache.rs", "(entry.ends_ms > self.now_ms).then_some(entry)", "Some(entry)"),
            instead("shard/home/cache.rs", "(ends_ms - self.now_ms)", "1_u64"),
        ],
    },
    Mutant {
        name: "ExpiryWaitsToBeAsked",
        breaks: "What is over is not given back until somebody comes.",
        places: &[instead(
            "shard/home/cache.rs",
            "self.by_end.first().map(|(ends_ms, _)| ends_ms.next_multiple_of(EXPIRY_STEP_MS))",
            "None",
        )],
    },
    Mutant {
        name: "CacheHasNoBound",
        breaks: "Cached events may take what they like together.",
        places: &[instead("shard/home/cache.rs", "self.bytes > self.bytes_max", "false")],
    },
    Mutant {
        name: "NewestIsEvicted",
        breaks: "When cached events take too much, the newest goes.",
        places: &[instead(
            "shard/home/cache.rs",
            "self.by_age.first_key_value()",
            "self.by_age.last_key_value()",
        )],
    },
    Mutant {
        name: "FirstEventStaysCached",
        breaks: "A channel that remembers an event goes on remembering that one.",
        places: &[instead("shard/home/cache.rs", "self.remove(earlier);", "return 0;")],
    },
    Mutant {
        name: "VacatedForgetsCached",
        breaks: "What is cached goes when a channel is vacated.",
        places: &[before(
            "shard/home/mod.rs",
            "self.stats.vacated += 1;",
            "while self.cache.expire(u64::MAX) > 0 {}",
        )],
    },
    Mutant {
        name: "LiveLinksReplayNothing",
        breaks: "On a live link the subscriber of a cache channel is acknowledged at once.",
        places: &[instead(
            "shard/inbound/subscribe.rs",
            "target.key.is_cached()",
            "target.key.is_cached() && !at_once",
        )
        .within("Needs::Nothing if target.key.is_cached() => {")],
    },
    Mutant {
        name: "ReplayBeforeAck",
        breaks: "The last event goes out before the acknowledgement.",
        places: &[instead(
            "shard/links/heard.rs",
            "Run::shared_in_order(&[formed(succeeded), formed(replay)])",
            "Run::shared_in_order(&[formed(replay), formed(succeeded)])",
        )],
    },
    Mutant {
        name: "EachMissIsTold",
        breaks: "Hooks are told of every subscriber who finds a cache channel empty.",
        places: &[instead(
            "shard/home/cache.rs",
            "self.misses.begin(topic.hash)",
            "{ self.misses.begin(topic.hash); true }",
        )],
    },
    Mutant {
        name: "OnlyTheFirstMissIsTold",
        breaks: "Hooks are not told of a cache channel that is empty again.",
        places: &[instead("shard/home/cache.rs", "self.misses.end(topic.hash);", "")
            .within("self.misses.end(topic.hash);\n        self.stats.cache_evicted")],
    },
    Mutant {
        name: "DroppedMissesCountAsTold",
        breaks: "A cache miss that the hooks had no room for is not told to them later.",
        places: &[instead("shard/home/mod.rs", "self.misses.end(hash);", "")],
    },
];

/// Code that only mutants call, by the file that it is added to.
pub const SUPPORT: &[(&str, &str)] = &[
    (
        "shard/fanout/connections.rs",
        r"
impl Fanout {
    /// The kernel has refused its bytes.
    pub(in crate::shard) fn is_blocked(&self, id: Token) -> bool {
        self.connections.view(id).is_some_and(|connection| connection.blocked)
    }
}
",
    ),
    (
        "outgoing.rs",
        r"
impl<M: Weigh> Outgoing<M> {
    /// Puts a message before all others.
    pub fn push_front(&mut self, to: CoreId, message: M) {
        if let Some(open) = self.open.get_mut(to) {
            open.messages.push_front(message);
        }
    }

    /// All messages that wait for this receiver.
    pub fn waiting(&mut self, to: CoreId) -> impl Iterator<Item = &mut M> {
        self.open.get_mut(to).into_iter().flat_map(|open| open.messages.iter_mut())
    }
}
",
    ),
    (
        "shard/links/mod.rs",
        r"
impl Links {
    /// Whether the batch to any home is full.
    pub(super) fn any_full(&self) -> bool {
        self.roots.any_full()
    }
}
",
    ),
    (
        "outbox/run.rs",
        r"
impl OpenRun {
    /// What a Run would be that went on growing after it was sealed.
    pub fn sealed_copy(&self) -> Self {
        let copy = Self {
            run: Rc::clone(&self.run),
            bytes: self.bytes.clone(),
            ends: self.ends.clone(),
            topic_slot: self.topic_slot,
        };
        let (bytes, ends) = (self.bytes.clone(), self.ends.clone());
        let sealed = Sealed { bytes: Bytes::Own(bytes), ends, end: self.bytes.len() as u32, private: false };
        drop(self.run.sealed.set(sealed));
        copy
    }
}
",
    ),
];
