//! The app store: what `corecast app` does to it, who may read it, and what a server makes of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::rig::client::Client;
use crate::rig::http::{encode_event, encode_request, now_unix_s};
use crate::rig::server::{Server, binary, free_port, run};
use protocol::app::App;
use protocol::auth::sign_request;
use serde_json::{Value, json};

/// A folder with a configuration file that names a store in it, and has one app.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("app-store-{name}"));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        let app = "[[apps]]\nid = \"file\"\nkey = \"file-key\"\nsecret = \"file-secret\"";
        let text = format!("admin = \"off\"\n[app_store]\npath = {:?}\n{app}\n", folder.store());
        fs::write(folder.config(), text).unwrap();
        folder
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn config(&self) -> String {
        self.at("corecast.toml")
    }

    fn store(&self) -> String {
        self.at("apps.db")
    }

    /// Exit code, standard output and standard error of a command for apps.
    fn app(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        run(&[&["app"], arguments, &["--config", &self.config()]].concat())
    }

    /// What the command prints, which succeeds.
    fn said(&self, arguments: &[&str]) -> String {
        let (code, said, errors) = self.app(arguments);
        assert_eq!((code, &*errors), (Some(0), ""), "{arguments:?}");
        said
    }

    /// The apps that it prints as JSON.
    fn apps(&self, arguments: &[&str]) -> Vec<Value> {
        let said = self.said(&[arguments, &["--json"]].concat());
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The one line with which the command fails.
    fn fault(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let (code, said, errors) = self.app(arguments);
        assert_eq!((&*said, errors.lines().count()), ("", 1), "{arguments:?}: {errors}");
        (code, errors)
    }

    fn serve(&self, shards: &str) -> Server {
        let port = free_port();
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--shards", shards]);
        command.args(["--config", &self.config()]).stdin(Stdio::null());
        Server::start_command(command, port)
    }
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn try_connect(server: &Server, key: &str) -> Result<Client, Value> {
    Client::try_connect(server.tcp(), &format!("/app/{key}?protocol=7"))
}

fn publish(server: &Server, app: &App) -> u16 {
    let (path, body) = (format!("/apps/{}/events", app.id), encode_event("news", "e", "x"));
    let query = sign_request(app, "POST", &path, &[], body.as_bytes(), now_unix_s());
    server.http().ask(&encode_request("POST", &format!("{path}?{query}"), &body)).status
}

/// The app as a caller knows it that has this one of its keys.
fn caller(app: &Value, key: usize) -> App {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let key = &app["keys"][key];
    App::new(&text(&app["id"]), &text(&key["key"]), &text(&key["secret"]))
}

#[test]
fn apps_of_the_store_are_served_beside_those_of_the_file() {
    for shards in ["1", "3"] {
        let folder = Folder::new(&format!("served-{shards}"));
        let added =
            folder.apps(&["add", "9", "--limit", "connections_max=1", "--set", "client_events=false"]);
        let key = added[0]["keys"][0]["key"].as_str().unwrap();
        let server = folder.serve(shards);
        assert!(try_connect(&server, "file-key").is_ok());
        let mut client = try_connect(&server, key).unwrap();
        client.subscribe("news");
        assert_eq!(publish(&server, &caller(&added[0], 0)), 200);
        client.expect("news", "e", "x");
        let refused = try_connect(&server, key).err().unwrap();
        assert_eq!(refused["data"]["code"], 4100, "{refused}");
    }
}

#[test]
fn a_server_starts_without_apps_where_a_store_may_get_some() {
    let folder = Folder::new("none");
    fs::write(folder.config(), format!("admin = \"off\"\n[app_store]\npath = {:?}\n", folder.store()))
        .unwrap();
    let server = folder.serve("1");
    let refused = try_connect(&server, "any").err().unwrap();
    assert_eq!(refused["data"]["code"], 4001, "{refused}");
}

#[test]
fn commands_change_apps_and_print_them_as_tables_of_the_file() {
    let folder = Folder::new("commands");
    let enabled = |key: &str, secret: Option<&str>| match secret {
        Some(secret) => json!({"key": key, "secret": secret, "enabled": true}),
        None => json!({"key": key, "enabled": true}),
    };
    let added = folder.apps(&["add", "--app", "1:first:one:secret"]);
    let first = json!({"id": "1", "enabled": true, "keys": [enabled("first", Some("one:secret"))]});
    assert_eq!(added, std::slice::from_ref(&first));
    let set = ["set", "1", "allowed_origins=a.com", "cache_ttl_s=9", "--limit", "connections_max=7"];
    let changed = folder.apps(&set);
    assert_eq!((&changed[0]["allowed_origins"], &changed[0]["cache_ttl_s"]), (&json!("a.com"), &json!(9)));
    assert_eq!(changed[0]["limits"], json!({"connections_max": 7}));
    let changed = folder.apps(&["unset", "1", "allowed_origins", "cache_ttl_s", "limits.connections_max"]);
    assert_eq!(changed, [json!({"id": "1", "enabled": true, "keys": [enabled("first", None)]})]);
    assert_eq!(folder.apps(&["show", "1", "--show-secrets"]), std::slice::from_ref(&first));
    let rotated = folder.apps(&["rotate", "1"]);
    let keys = rotated[0]["keys"].as_array().unwrap();
    assert_eq!((keys.len(), &keys[0]), (2, &enabled("first", None)));
    let (key, secret) = (keys[1]["key"].as_str().unwrap(), keys[1]["secret"].as_str().unwrap());
    assert!(key.len() == 20 && secret.len() == 20 && key != secret);
    assert_eq!(folder.apps(&["disable", "1", "--key", "first"])[0]["keys"][0]["enabled"], false);
    assert_eq!(folder.apps(&["disable", "1"])[0]["enabled"], false);
    assert_eq!(folder.apps(&["enable", "1"])[0]["enabled"], true);
    let left = folder.apps(&["remove", "1", "--key", "first"]);
    assert_eq!(left, [json!({"id": "1", "enabled": true, "keys": [enabled(key, None)]})]);
    folder.said(&["add", "2"]);
    let ids: Vec<Value> = folder.apps(&["list"]).iter().map(|app| app["id"].clone()).collect();
    assert_eq!(ids, ["1", "2"]);
    assert!(!folder.said(&["list"]).contains(secret) && !folder.said(&["show", "1"]).contains(secret));
    assert!(folder.said(&["show", "1", "--show-secrets"]).contains(secret));
    assert_eq!(folder.said(&["remove", "1"]), "app 1 is removed\n");
    assert_eq!(folder.apps(&["list"]).len(), 1);
}

#[test]
fn a_change_that_no_server_could_take_changes_nothing() {
    let folder = Folder::new("refused");
    let (code, fault) = folder.fault(&["list"]);
    assert_eq!(code, Some(78));
    assert!(fault.contains("there is no app store") && fault.contains("corecast app add"), "{fault}");
    folder.said(&["add", "--app", "1:first:hunter2"]);
    let before = folder.said(&["show", "1", "--show-secrets"]);
    let table: [(&[&str], &str); 12] = [
        (
            &["set", "1", "client_event=true"],
            "unknown key \"client_event\" in [[apps]]: did you mean \"client_events\"?",
        ),
        (&["set", "1", "client_events=yes"], "apps.client_events must be true or false, and is a text"),
        (&["set", "1", "--limit", "connections_max=0"], "apps.limits.connections_max = 0: possible are 1 to"),
        (&["set", "2", "client_events=true"], "has no app with the id \"2\""),
        (&["unset", "1", "client_events"], "the app \"1\" does not set client_events"),
        (&["add", "--app", "1:other:s"], "has an app with the id \"1\" already"),
        (&["add", "--app", "2:first:s"], "has an app with the key \"first\" already"),
        (&["add", "file"], "the app \"file\" of the store has the id of an app in the configuration file"),
        (
            &["add", "--app", "2:file-key:s"],
            "the key \"file-key\" of the store is that of an app in the configuration file",
        ),
        (&["add", "a/b"], "apps.id holds '/'"),
        (&["disable", "1", "--key", "other"], "the app \"1\" has no key \"other\""),
        (&["remove", "1", "--key", "first"], "is the only key of the app \"1\""),
    ];
    for (arguments, what) in table {
        let (code, fault) = folder.fault(arguments);
        assert_eq!(code, Some(78), "{fault}");
        assert!(fault.contains(what) && !fault.contains("hunter2"), "{fault}");
    }
    assert_eq!(folder.said(&["show", "1", "--show-secrets"]), before);
    assert_eq!(folder.apps(&["list"]).len(), 1);
}

#[test]
fn a_file_of_apps_is_added_whole_or_not_at_all() {
    let folder = Folder::new("app-file");
    let file = folder.at("apps");
    fs::write(&file, "1:a:s\n2:b:s\n").unwrap();
    assert_eq!(folder.apps(&["add", "--app-file", &file]).len(), 2);
    fs::write(&file, "3:c:s\n4:b:s\n").unwrap();
    assert!(folder.fault(&["add", "--app-file", &file]).1.contains("key \"b\""));
    assert_eq!(folder.apps(&["list"]).len(), 2);
}

#[test]
fn a_store_is_for_its_owner_alone() {
    let folder = Folder::new("rights");
    folder.said(&["add"]);
    assert_eq!(mode(&folder.store()), 0o600);
    fs::set_permissions(folder.store(), Permissions::from_mode(0o644)).unwrap();
    folder.said(&["list"]);
    assert_eq!(mode(&folder.store()), 0o600);
}

#[test]
fn what_is_no_store_is_left_as_it_is_and_stops_the_start() {
    let folder = Folder::new("foreign");
    let (store, config) = (folder.store(), folder.config());
    fs::write(&store, "no database at all, but something of somebody's").unwrap();
    fs::set_permissions(&store, Permissions::from_mode(0o644)).unwrap();
    for arguments in [&["app", "add"][..], &["serve"], &["check"]] {
        let (code, _, errors) = run(&[arguments, &["--config", &config]].concat());
        assert_eq!((code, errors.lines().count()), (Some(1), 1), "{errors}");
        assert!(errors.contains("the app store") && errors.contains("not a database"), "{errors}");
    }
    assert_eq!((mode(&store), fs::read_to_string(&store).unwrap().starts_with("no database")), (0o644, true));
    let sqlite = |path: &str, text: &str| {
        rusqlite::Connection::open(Path::new(path)).unwrap().execute_batch(text).unwrap();
    };
    fs::remove_file(&store).unwrap();
    sqlite(&store, "CREATE TABLE other (x)");
    assert!(folder.fault(&["add"]).1.contains("is no app store: it has other tables"));
    fs::remove_file(&store).unwrap();
    folder.said(&["add", "1"]);
    sqlite(&store, "INSERT INTO settings VALUES ('1', 'client_events', '1')");
    let (code, _, errors) = run(&["serve", "--config", &config]);
    assert_eq!(code, Some(78), "{errors}");
    assert!(errors.contains("app \"1\": apps.client_events must be true or false"), "{errors}");
    sqlite(&store, "PRAGMA user_version = 2");
    assert!(folder.fault(&["list"]).1.contains("was written by a newer version"));
}

#[test]
fn commands_say_which_store_they_need() {
    let (code, _, errors) = run(&["app", "list"]);
    assert_eq!((code, errors.contains("use --config FILE or --store FILE")), (Some(78), true), "{errors}");
    let folder = Folder::new("which");
    let store = folder.at("other.db");
    let (code, said, _) = run(&["app", "add", "5", "--store", &store, "--json"]);
    assert_eq!((code, said.starts_with("{\"id\":\"5\"")), (Some(0), true), "{said}");
}
