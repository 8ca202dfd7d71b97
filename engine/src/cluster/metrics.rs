//! What `/metrics` tells of the servers of the cluster.

use std::sync::atomic::Ordering;

use super::edge_counters::EdgeCounters;
use super::standing::{Standings, name_of};
use machines::api_core::exposition::Exposition;
use machines::cluster::session::reading::{Reading, Why};

/// A family of metrics: its name, what it is for, and its value.
type Family = (&'static str, &'static str, fn(&Reading) -> u64);

/// Adds it.
pub(crate) fn describe_cluster(all: &mut Exposition, standings: &Standings) {
    let read: Vec<(&str, Reading)> =
        standings.all().map(|(name, standing)| (name, standing.reading)).collect();
    let gauges: [Family; 5] = [
        ("bus_session_state", "The session with a server of the cluster: 2 up, 1 holding, 0 none.", |it| {
            u64::from(it.has_session) + u64::from(it.is_up)
        }),
        ("bus_topics", "Topics with subscribers here, by the server where they live.", |it| it.topics as u64),
        ("bus_unacknowledged", "Commands that the server has not acknowledged.", |it| it.commands as u64),
        ("bus_unacknowledged_bytes", "Their bytes.", |it| it.command_bytes as u64),
        (
            "bus_inbox_lag_bytes",
            "What waited in this node's inbox at the last sign of life; at 64 MiB it is dropped.",
            |it| it.inbox_bytes,
        ),
    ];
    for (name, help, value) in gauges {
        let mut family = all.gauges(name, help);
        read.iter().for_each(|(server, reading)| family.sample(&[("server", server)], value(reading) as f64));
        all.add(family);
    }
    let help = "How long commands and signs of life took to the server and back.";
    let mut round_trips = all.histograms("bus_roundtrip_seconds", help);
    read.iter().for_each(|(server, it)| round_trips.spread(&[("server", server)], &it.round_trips));
    all.add(round_trips);
    // A gap in what clients hear is where a session was lost: the same numbers, under both names that alerts look for.
    for (name, help, label) in [
        ("bus_sessions_lost_total", "Sessions that were lost, by why.", "why"),
        ("bus_gap_total", "Times when events of other nodes may have been missed, by kind.", "kind"),
    ] {
        let mut lost = all.counters(name, help);
        for (server, reading) in &read {
            for (why, count) in Why::ALL.into_iter().zip(reading.stats.lost) {
                lost.sample(&[("server", server), (label, name_of(why))], count as f64);
            }
        }
        all.add(lost);
    }
    describe_edges(all, standings);
    let counters: [Family; 7] = [
        ("bus_sessions_total", "Sessions that began.", |it| it.stats.begun),
        ("bus_resumed_total", "Sessions that went on after a connection broke.", |it| it.stats.resumed),
        ("bus_failed_total", "Calls that the server has refused.", |it| it.stats.failed),
        ("bus_map_refused_total", "Sessions refused since other nodes have another list of servers.", |it| {
            it.stats.map_refused
        }),
        ("bus_killed_total", "Nodes that this one has taken for dead.", |it| it.stats.killed),
        ("bus_swept_total", "Calls that have cleared up after dead nodes.", |it| it.stats.swept),
        ("bus_unreadable_total", "Items of inboxes that no node writes.", |it| it.stats.items_unreadable),
    ];
    for (name, help, value) in counters {
        let mut family = all.counters(name, help);
        read.iter().for_each(|(server, reading)| family.sample(&[("server", server)], value(reading) as f64));
        all.add(family);
    }
}

fn describe_edges(all: &mut Exposition, standings: &Standings) {
    type EdgeFamily = (&'static str, &'static str, fn(&EdgeCounters) -> u64);
    let gauges: [EdgeFamily; 2] = [
        ("hook_edges_holder", "1 while this node passes on the hooks' edges of a server.", |it| {
            it.is_holder.load(Ordering::Relaxed).into()
        }),
        ("hook_edges_due", "Falls that wait for their grace, or for room.", |it| {
            it.due.load(Ordering::Relaxed)
        }),
    ];
    for (name, help, value) in gauges {
        let mut family = all.gauges(name, help);
        for (server, edges) in standings.all_edges() {
            family.sample(&[("server", server)], value(edges) as f64);
        }
        all.add(family);
    }
    let counters: [EdgeFamily; 3] = [
        ("hook_edges_passed_total", "Hooks' edges that this node has handed to its journal.", |it| {
            it.passed.load(Ordering::Relaxed)
        }),
        ("hook_edges_filtered_total", "Hooks' edges that had been told already.", |it| {
            it.filtered.load(Ordering::Relaxed)
        }),
        ("hook_edges_compared_total", "Hooks' edges that no node told, and a comparison found.", |it| {
            it.compared.load(Ordering::Relaxed)
        }),
    ];
    for (name, help, value) in counters {
        let mut family = all.counters(name, help);
        for (server, edges) in standings.all_edges() {
            family.sample(&[("server", server)], value(edges) as f64);
        }
        all.add(family);
    }
}
