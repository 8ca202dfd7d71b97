//! Newcomers reach the listener on the processor that received them: what the kernel does with our program, with our
//! marks, and where neither speaks of a processor. On loopback a packet is received where its sender runs.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use corecast::driver::allowed;
use corecast::driver::listen::{accept, listen, local_address};
use corecast::driver::steering::steer_by_cpu;
use rustix::thread::{CpuSet, sched_setaffinity};

/// How many clients come from each processor: by hash, all of them at one listener would be one chance in 2^31.
const CLIENTS: usize = 32;

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Two processors, without which nothing can be shown.
fn two_cpus() -> [usize; 2] {
    let cpus = allowed::cpus();
    let [one, other, ..] = cpus[..] else { panic!("this test needs two processors, there is {cpus:?}") };
    [one, other]
}

/// Connects from this processor.
fn clients_on(cpu: usize, address: SocketAddr) -> Vec<TcpStream> {
    let connect = move || {
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_setaffinity(None, &only).unwrap();
        (0..CLIENTS).map(|_| speaking(address)).collect()
    };
    thread::spawn(connect).join().unwrap()
}

/// Who says nothing is not given to the listener yet.
fn speaking(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"GET").unwrap();
    client
}

/// How many wait at each listener. They are let go.
fn queued(listeners: &[OwnedFd]) -> Vec<usize> {
    let waiting = |listener: &OwnedFd| std::iter::from_fn(|| accept(listener.as_fd()).ok()).count();
    listeners.iter().map(waiting).collect()
}

#[test]
fn a_newcomer_lands_at_the_listener_of_its_processor() {
    let [one, other] = two_cpus();
    let listeners = listen(loopback(0), 2, false).unwrap();
    let address = local_address(&listeners[0]).unwrap();
    steer_by_cpu(&listeners, &[one, other], false).unwrap();
    let _clients = clients_on(one, address);
    assert_eq!(queued(&listeners), [CLIENTS, 0]);
    let _clients = clients_on(other, address);
    assert_eq!(queued(&listeners), [0, CLIENTS]);
    steer_by_cpu(&listeners, &[other, one], false).unwrap();
    let _clients = clients_on(one, address);
    assert_eq!(queued(&listeners), [0, CLIENTS]);
}

#[test]
fn a_processor_without_a_listener_is_spread_by_hash() {
    let [one, other] = two_cpus();
    let listeners = listen(loopback(0), 2, false).unwrap();
    let address = local_address(&listeners[0]).unwrap();
    // Nothing is received on a processor of that number.
    steer_by_cpu(&listeners, &[one, 4_000], false).unwrap();
    let _clients = clients_on(other, address);
    let queued = queued(&listeners);
    assert!(queued.iter().sum::<usize>() == CLIENTS && queued.iter().all(|queued| *queued > 0), "{queued:?}");
}

#[test]
fn a_successor_is_steered_to_once_its_predecessor_has_gone() {
    let [one, other] = two_cpus();
    let first = listen(loopback(0), 2, false).unwrap();
    let address = local_address(&first[0]).unwrap();
    steer_by_cpu(&first, &[one, other], false).unwrap();
    let second = listen(address, 2, true).unwrap();
    steer_by_cpu(&second, &[one, other], true).unwrap();
    let _clients = clients_on(one, address);
    assert_eq!(queued(&first).iter().chain(&queued(&second)).sum::<usize>(), CLIENTS);
    // In the order in which the places of the others shift.
    first.into_iter().for_each(drop);
    let _clients = clients_on(one, address);
    assert_eq!(queued(&second), [CLIENTS, 0]);
    let _clients = clients_on(other, address);
    assert_eq!(queued(&second), [0, CLIENTS]);
}

#[test]
fn without_steering_one_processor_reaches_all() {
    let [one, _] = two_cpus();
    let listeners = listen(loopback(0), 2, false).unwrap();
    let address = local_address(&listeners[0]).unwrap();
    let _clients = clients_on(one, address);
    assert!(queued(&listeners).iter().all(|queued| *queued > 0));
}
