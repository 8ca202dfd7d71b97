//! What a server is started with: what the configuration file and the flags come to, checked.
//!
//! Each group of settings has a file, with its defaults and the values it may have. `config` reads a file into the groups,
//! the command line lays its flags over them, and each part of the server reads the group that it is about. A leaf: it
//! knows neither.

mod admin;
pub mod capacity;
mod cluster;
mod ending;
mod fitted;
mod listen;
mod load;
mod log;
mod memory;
mod pages;
mod proxies;
mod shards;
mod shown;
mod tls;

pub use admin::{Admin, AdminAddress, AdminToken, parse_admin_host};
pub use cluster::Cluster;
pub use ending::Ending;
pub use fitted::fitted;
pub use listen::{Listen, ListenAddress};
pub use load::{Load, Marks};
pub use log::Log;
pub use memory::{Memory, Watched};
pub use pages::Pages;
pub use proxies::Proxies;
pub use shards::{ShardCount, Shards, Steering};
pub use shown::{ShownSetting, ShownSettings};
pub use tls::{CertificateFiles, Tls};

use std::sync::Arc;

use machines::limits::Limits;
use protocol::app::Apps;

/// All settings of a server.
#[derive(Debug, Default)]
pub struct Settings {
    /// Where clients and back ends connect.
    pub listen: Listen,
    /// Which proxies stand before it.
    pub proxies: Proxies,
    /// Where they connect with TLS.
    pub tls: Tls,
    /// Where the operator's tools connect, and what they are told.
    pub admin: Admin,
    /// What web pages get besides the protocol.
    pub pages: Pages,
    /// How connections are spread over processors.
    pub shards: Shards,
    /// How the server ends, and whether it replaces another.
    pub ending: Ending,
    /// The bounds of each shard and of the API core.
    pub limits: Limits,
    /// When there is too much to do for newcomers.
    pub load: Load,
    /// The apps.
    pub apps: Arc<Apps>,
    /// How many of them, the last ones, are from the app store.
    pub stored_apps: usize,
    /// Whether there is a source that is asked for apps which are not there.
    pub asks_for_apps: bool,
    /// The cluster that it is a node of.
    pub cluster: Cluster,
    /// Where hook events go; None: nowhere.
    pub hooks: Option<hooks::settings::Settings>,
    /// All of them, as operators are shown them.
    pub shown: ShownSettings,
    /// What only a server of `corecast dev` has.
    pub dev: Option<Dev>,
}

/// A server for one developer, which belongs to a terminal: SIGHUP ends it.
#[derive(Debug)]
pub struct Dev {
    /// What `GET /` shows instead of `OK`.
    pub page: Option<Arc<str>>,
}
