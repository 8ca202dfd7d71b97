//! Apps that shards do not know: what the source is asked, and clients that wait for its answer.

use protocol::app::{App, AppQuestion, AppVerdict};

use crate::client::Client;
use crate::rng::Rng;
use crate::socket::Reader;
use crate::world::World;

/// The key of an app that nobody knows at first.
const KEY: &str = "late-key";

/// For how long a client may wait, in milliseconds.
const WAIT_MS_MAX: u64 = 6_000;

/// What the source is being asked.
#[derive(Debug, Default)]
pub struct Lookups {
    open: Vec<(usize, AppQuestion)>,
}

impl Lookups {
    /// A shard asks.
    pub fn ask(&mut self, shard: usize, question: AppQuestion) -> Result<(), String> {
        let asked = (shard, question);
        if self.open.contains(&asked) {
            return Err(format!("shard {shard} asks for the {} twice at a time", asked.1));
        }
        self.open.push(asked);
        Ok(())
    }

    /// All that is open, and is so no more.
    pub fn take(&mut self) -> Vec<(usize, AppQuestion)> {
        std::mem::take(&mut self.open)
    }
}

/// Every other client comes by TLS.
fn is_secure(client: usize) -> bool {
    client.is_multiple_of(2)
}

/// Clients of an app that is not known come, and wait. Returns those that do.
pub fn begin(world: &mut World, rng: &mut Rng) -> Result<Vec<usize>, String> {
    let first = world.clients().len();
    for client in first..first + rng.between(2, 7) {
        world.connect_with(rng.below(world.shard_count()), Reader::Healthy, KEY, is_secure(client));
        let newcomer = world.client(client);
        // Whatever becomes of it is checked here.
        (newcomer.leaving, newcomer.may_lose_app) = (true, true);
        if rng.chance(50) {
            newcomer.pings += 1;
            world.send(client, &Client::ping());
        }
        if rng.chance(50) {
            world.turn_all()?;
        }
    }
    world.turn_all()?;
    let newcomers: Vec<usize> = (first..world.clients().len()).collect();
    let max = world.app_waits_max();
    for shard in 0..world.shard_count() {
        let of_shard: Vec<usize> =
            newcomers.iter().copied().filter(|client| world.client(*client).shard == shard).collect();
        let refused =
            of_shard.iter().filter(|client| world.client(**client).close_code == Some(4100)).count();
        if refused != of_shard.len().saturating_sub(max) {
            return Err(format!("{refused} of {} clients were refused, and {max} may wait", of_shard.len()));
        }
    }
    let mut waiting = newcomers;
    waiting.retain(|client| world.client(*client).close_code.is_none());
    match waiting.iter().find(|client| world.client(**client).socket_id.is_some()) {
        Some(client) => Err(format!("client {client} is connected to an app that is not there")),
        None => Ok(waiting),
    }
}

/// They come and wait, and get what the source says, or does not.
pub fn look_up(world: &mut World, rng: &mut Rng) -> Result<(), String> {
    let waiting = begin(world, rng)?;
    let gone = waiting.iter().copied().find(|_| rng.chance(15));
    if let Some(gone) = gone {
        world.hang_up(gone);
    }
    if rng.chance(40) {
        world.renew_apps();
        world.turn_all()?;
    }
    let told = match rng.below(5) {
        0 | 1 => return appear(world, &waiting, gone, rng),
        2 => {
            world.tell_verdicts(AppVerdict::Unknown);
            4001
        }
        3 => {
            world.tell_verdicts(AppVerdict::Unanswered);
            4100
        }
        _ => {
            world.jump(WAIT_MS_MAX - 1);
            world.turn_all()?;
            expect(world, &waiting, None)?;
            world.advance(1);
            world.turn_all()?;
            // It comes too late for anybody.
            world.tell_verdicts(AppVerdict::Unanswered);
            4001
        }
    };
    world.turn_all()?;
    expect(world, &waiting, Some(told))?;
    world.settle()
}

/// All of them were told this, or nothing.
pub fn expect(world: &mut World, waiting: &[usize], told: Option<u16>) -> Result<(), String> {
    match waiting.iter().find(|client| world.client(**client).close_code != told) {
        Some(client) => Err(format!("client {client} waits for its app, and was told {told:?} or not")),
        None => Ok(()),
    }
}

/// The app is there: who waits is served, and told when it is gone again.
fn appear(world: &mut World, waiting: &[usize], gone: Option<usize>, rng: &mut Rng) -> Result<(), String> {
    let mut app = App::new("9", KEY, "secret");
    app.tls_only = rng.chance(50);
    let is_let_in = |client: &usize| !app.tls_only || is_secure(*client);
    let heard = waiting.iter().copied().filter(|client| Some(*client) != gone);
    let (served, refused): (Vec<usize>, Vec<usize>) = heard.partition(is_let_in);
    world.put_app(app);
    // Another source may have it, and this one may never answer.
    if rng.chance(50) {
        world.tell_verdicts(AppVerdict::Found);
    }
    world.turn_all()?;
    expect(world, &refused, Some(4000))?;
    for client in &served {
        if world.client(*client).socket_id.is_none() {
            return Err(format!("client {client} waited for its app, and is not served"));
        }
        world.client(*client).pings += 1;
        world.send(*client, &Client::ping());
    }
    world.turn_all()?;
    for client in &served {
        let (pings, pongs) = (world.client(*client).pings, world.client(*client).pongs);
        if pings != pongs {
            return Err(format!(
                "client {client} waited for its app, and has {pongs} pongs to {pings} pings"
            ));
        }
    }
    // What is said now is nobody's business.
    world.tell_verdicts(AppVerdict::Unknown);
    world.remove_app("9");
    world.turn_all()?;
    expect(world, &served, Some(4003))?;
    world.settle()
}
