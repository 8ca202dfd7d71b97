//! Named ways to break one rule of the shard, for the simulation: each must be caught. They exist only in a build with
//! the feature `mutants`, which the tests ask for; everywhere else `broken` is the constant false.

/// A rule, broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// An answer of the home shard goes to whichever subscription of the connection waits for that channel.
    NoTicket,
    /// Links are not told apart from their predecessors, on both sides.
    NoEpoch,
    /// The first subscriber asks home, later ones are acknowledged at once.
    LaterSubscribersAckedAtOnce,
    /// Roots wait for room in batches of roots.
    RootsWaitForRoots,
    /// A consumer is judged by what nobody has tried to write.
    JudgedBeforeAttempt,
    /// Input is taken whatever waits to be flushed.
    NoFlushGate,
    /// A Run takes frames of the next phase.
    RunGrowsAfterSealing,
    /// A Count in the open batch is overwritten by one of another epoch.
    CountOverwritesAcrossEpochs,
    /// An Exit goes before what is already in the open batch.
    ExitOvertakesEnter,
    /// A core sleeps after a turn that took nothing, whatever it sent or wrote.
    SleepsOnGatedInput,
    /// Every turn begins with the same class of input.
    FixedOrderOfClasses,
    /// A subscription that goes while it waits stays among the waiters' number.
    WaiterNeverLeaves,
    /// A subscription that goes while it waits takes its Enter back although that was sent.
    SentEntersAreStruck,
    /// Every connection of a user is announced.
    EveryConnectionIsAMember,
    /// A member is announced after the joiner was let in.
    JoinerHearsItself,
    /// A subscriber gets events before its acknowledgement.
    FanOutBeforeAck,
    /// A sender that was left out once gets nothing more in that phase.
    ExclusionLosesTheRest,
    /// A sender gets its own event.
    NoExclusion,
    /// Unsubscribing leaves the open range open.
    UnsubscribeKeepsRange,
    /// The last subscriber's going is not told to home.
    LastCountUnsent,
    /// A connection that closes leaves its members in their rosters.
    CloseSendsNoExit,
    /// A message that finds its gate closed is dropped.
    GatedMessageIsDropped,
    /// A gate of commands does not exist: batches grow without bound.
    NoCommandGate,
    /// What is sent to a connection counts as a sign of its life.
    WritingIsHearing,
    /// A connection that has answered its ping still counts as pinged.
    AnswerIsForgotten,
    /// A connection that is not listened to counts as silent.
    StalledClockRuns,
    /// A user who must go is looked for among acknowledged subscriptions only.
    TerminationSparesWhoWaits,
    /// Users of the same id in other apps go as well.
    TerminationCrossesApps,
    /// Connections go by presence even where the app does not want it.
    TerminationIgnoresItsSwitch,
    /// A user is looked for from where the walk has come to.
    TerminationJoinsTheWalk,
    /// The walk for users who must go ends with its first step.
    TerminationEndsWithItsStep,
    /// A list of channels ends with its first step.
    ListEndsWithItsStep,
    /// A list has channels that are younger than it.
    ListNamesNewcomers,
    /// The outboxes of a shard keep whatever they like together.
    BudgetIsNotKept,
    /// Past the budget somebody goes, whether the kernel has refused its bytes or not.
    BudgetTakesAnybody,
    /// A slot is given away before the subscriptions of its last tenant are given up.
    SlotIsFreeBeforeItsTenantHasLeft,
    /// A place in a fan-out list that is moved is not noted for those who have gone.
    DepartedDoNotMove,
    /// Whoever has gone gives up subscriptions in one step only.
    DepartureEndsWithItsStep,
    /// What is kept of the outboxes of those who are closed has no bound.
    PartingBytesHaveNoBound,
    /// A fall is told at once.
    GraceIsIgnored,
    /// A fall is told although who went has come back.
    ReturnDoesNotCancel,
    /// An edge that the queue refuses is forgotten.
    RefusedEdgeIsLost,
    /// Events are told while an edge before them is not.
    EventOvertakesEdge,
    /// An edge that the queue refuses costs the events of all channels.
    RefusedEdgeCostsAllEvents,
    /// Who is closed since the server ends is told as gone.
    EndTellsFalls,
    /// A channel is told as vacated before its members are removed.
    VacatedBeforeRemoved,
    /// What was told before the server began is taken for nothing.
    OpenEdgesAreIgnored,
    /// Whoever takes an event counts as having one subscription.
    TakersHaveOneSubscription,
    /// What was gained in the round before this one does not count.
    OnlyThisRoundCounts,
    /// What a subscription has gained is forgotten when it goes.
    GoneSubscriptionsGainNothing,
    /// Runs that were not tried for everybody may be as much as they like together.
    UntriedRunsHaveNoBound,
    /// A roster that several share lacks the last of them.
    SharedRosterLacksTheLast,
    /// Grants that are put off do not count in their batches.
    PutOffGrantsWeighNothing,
    /// Connections that wait for a tick are not written when it comes.
    HeldAreForgotten,
    /// Holds go on to their tick however much is waiting.
    HoldsIgnoreTheGate,
    /// Outboxes that wait for a tick may have as many ranges as they like.
    HoldsKeepAnyNumberOfRanges,
    /// A shard that hears messages counts as quiet.
    TalkIsQuiet,
    /// A shard with few connections counts as quiet.
    FewAreQuiet,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 58] = [
        Self::NoTicket,
        Self::NoEpoch,
        Self::LaterSubscribersAckedAtOnce,
        Self::RootsWaitForRoots,
        Self::JudgedBeforeAttempt,
        Self::NoFlushGate,
        Self::RunGrowsAfterSealing,
        Self::CountOverwritesAcrossEpochs,
        Self::ExitOvertakesEnter,
        Self::SleepsOnGatedInput,
        Self::FixedOrderOfClasses,
        Self::WaiterNeverLeaves,
        Self::SentEntersAreStruck,
        Self::EveryConnectionIsAMember,
        Self::JoinerHearsItself,
        Self::FanOutBeforeAck,
        Self::ExclusionLosesTheRest,
        Self::NoExclusion,
        Self::UnsubscribeKeepsRange,
        Self::LastCountUnsent,
        Self::CloseSendsNoExit,
        Self::GatedMessageIsDropped,
        Self::NoCommandGate,
        Self::WritingIsHearing,
        Self::AnswerIsForgotten,
        Self::StalledClockRuns,
        Self::TerminationSparesWhoWaits,
        Self::TerminationCrossesApps,
        Self::TerminationIgnoresItsSwitch,
        Self::TerminationJoinsTheWalk,
        Self::TerminationEndsWithItsStep,
        Self::ListEndsWithItsStep,
        Self::ListNamesNewcomers,
        Self::BudgetIsNotKept,
        Self::BudgetTakesAnybody,
        Self::SlotIsFreeBeforeItsTenantHasLeft,
        Self::DepartedDoNotMove,
        Self::DepartureEndsWithItsStep,
        Self::PartingBytesHaveNoBound,
        Self::GraceIsIgnored,
        Self::ReturnDoesNotCancel,
        Self::RefusedEdgeIsLost,
        Self::EventOvertakesEdge,
        Self::RefusedEdgeCostsAllEvents,
        Self::EndTellsFalls,
        Self::VacatedBeforeRemoved,
        Self::OpenEdgesAreIgnored,
        Self::TakersHaveOneSubscription,
        Self::OnlyThisRoundCounts,
        Self::GoneSubscriptionsGainNothing,
        Self::UntriedRunsHaveNoBound,
        Self::SharedRosterLacksTheLast,
        Self::PutOffGrantsWeighNothing,
        Self::HeldAreForgotten,
        Self::HoldsIgnoreTheGate,
        Self::HoldsKeepAnyNumberOfRanges,
        Self::TalkIsQuiet,
        Self::FewAreQuiet,
    ];
}

#[cfg(feature = "mutants")]
mod active {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Breaks this rule, and no other, on this thread.
    pub fn set(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
    }

    pub(crate) fn broken(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }

    /// True when some rule is broken: asserts leave the verdict to the simulation's model.
    pub(crate) fn any() -> bool {
        ACTIVE.get().is_some()
    }
}

#[cfg(not(feature = "mutants"))]
mod active {
    use super::Mutant;

    #[inline(always)]
    pub(crate) const fn broken(_: Mutant) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn any() -> bool {
        false
    }
}

#[cfg(feature = "mutants")]
pub use active::set;
pub(crate) use active::{any, broken};
