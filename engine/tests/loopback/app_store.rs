//! The app store: what `corecast app` does to it, who may read it, and what a server makes of it.

use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::client::Client;
use crate::rig::http::{Http, encode_event, encode_request, now_unix_s};
use crate::rig::server::{Server, binary, free_port, run, wait_for};
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

fn publish(http: &mut Http, app: &App, channel: &str, data: &str) -> u16 {
    let (path, body) = (format!("/apps/{}/events", app.id), encode_event(channel, "e", data));
    let query = sign_request(app, "POST", &path, &[], body.as_bytes(), now_unix_s());
    http.ask(&encode_request("POST", &format!("{path}?{query}"), &body)).status
}

/// Waits until clients with this key are served, or get this code.
fn wait_for_clients(server: &Server, key: &str, code: Option<u64>) {
    wait_for("the change to be taken over", || {
        let refused = try_connect(server, key).err().map(|refused| refused["data"]["code"].as_u64());
        (refused == code.map(Some)).then_some(())
    });
}

fn wait_for_status(server: &Server, app: &App, status: u16) {
    let ask = || publish(&mut server.http(), app, "unheard", "x");
    wait_for("calls to follow the change", || (ask() == status).then_some(()));
}

fn expect_gone(client: &mut Client) {
    assert_eq!(client.hear_error().0, Some(4003));
    assert_eq!(client.hear_close().0, 4003);
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
        assert_eq!(publish(&mut server.http(), &caller(&added[0], 0), "news", "x"), 200);
        client.expect("news", "e", "x");
        let refused = try_connect(&server, key).err().unwrap();
        assert_eq!(refused["data"]["code"], 4100, "{refused}");
    }
}

#[test]
fn a_running_server_takes_over_what_commands_change() {
    for shards in ["1", "3"] {
        let folder = Folder::new(&format!("live-{shards}"));
        let mut server = folder.serve(shards);
        let mut other = try_connect(&server, "file-key").unwrap();
        other.subscribe("news");
        let added = folder.apps(&["add", "1"]).remove(0);
        let (old, first) = (added["keys"][0]["key"].as_str().unwrap(), caller(&added, 0));
        wait_for_clients(&server, old, None);
        wait_for_status(&server, &first, 200);
        let mut client = try_connect(&server, old).unwrap();
        client.subscribe("news");
        // Both keys work, until the old one is disabled.
        let rotated = folder.apps(&["rotate", "1"]).remove(0);
        let key = rotated["keys"][1]["key"].as_str().unwrap();
        wait_for_clients(&server, key, None);
        wait_for_status(&server, &caller(&rotated, 1), 200);
        for app in [&first, &caller(&rotated, 1)] {
            assert_eq!(publish(&mut server.http(), app, "news", "x"), 200);
            client.expect("news", "e", "x");
        }
        folder.said(&["disable", "1", "--key", old]);
        wait_for_clients(&server, old, Some(4001));
        wait_for_status(&server, &first, 401);
        folder.said(&["set", "1", "--limit", "connections_max=1"]);
        wait_for_clients(&server, key, Some(4100));
        folder.said(&["unset", "1", "limits.connections_max"]);
        wait_for_clients(&server, key, None);
        client.expect_pong();
        folder.said(&["disable", "1"]);
        expect_gone(&mut client);
        wait_for_clients(&server, key, Some(4003));
        wait_for_status(&server, &caller(&rotated, 1), 403);
        folder.said(&["enable", "1"]);
        wait_for_clients(&server, key, None);
        let mut client = try_connect(&server, key).unwrap();
        folder.said(&["remove", "1"]);
        expect_gone(&mut client);
        wait_for_clients(&server, key, Some(4001));
        wait_for_status(&server, &caller(&rotated, 1), 404);
        other.expect_pong();
        drop((other, client));
        assert_eq!(server.terminate().code(), Some(0));
        let told = server.take_errors();
        let line = |what: &str| format!("app store: {}: {what}: 1\n", folder.store());
        for what in ["added", "disabled", "enabled", "removed"] {
            assert_eq!(told.matches(&line(what)).count(), 1, "{what}: {told}");
        }
        assert!(!told.contains("cannot") && !told.contains(&secret_of(&added)), "{told}");
    }
}

fn secret_of(app: &Value) -> String {
    app["keys"][0]["secret"].as_str().unwrap().to_owned()
}

#[test]
fn sighup_leaves_the_apps_of_the_store_and_the_store_those_of_the_file() {
    let folder = Folder::new("beside");
    folder.said(&["add", "--app", "1:first:s"]);
    let server = folder.serve("3");
    let mut clients = ["first", "file-key"].map(|key| try_connect(&server, key).unwrap());
    let text = fs::read_to_string(folder.config()).unwrap();
    let more = "[[apps]]\nid = \"more\"\nkey = \"more-key\"\nsecret = \"more-secret\"\n";
    fs::write(folder.config(), format!("{text}{more}")).unwrap();
    let sent = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap();
    assert!(sent.success());
    wait_for_clients(&server, "more-key", None);
    folder.said(&["add", "--app", "2:second:s"]);
    wait_for_clients(&server, "second", None);
    clients.iter_mut().for_each(Client::expect_pong);
    for key in ["first", "file-key", "more-key"] {
        wait_for_clients(&server, key, None);
    }
}

#[test]
fn a_store_that_cannot_be_read_leaves_the_apps_as_they_were() {
    let folder = Folder::new("unreadable");
    let admin = free_port();
    let text = fs::read_to_string(folder.config()).unwrap();
    let with_admin = text.replace("admin = \"off\"", &format!("admin = \"127.0.0.1:{admin}\""));
    fs::write(folder.config(), with_admin).unwrap();
    folder.said(&["add", "--app", "1:first:s"]);
    let mut server = folder.serve("3");
    let mut client = try_connect(&server, "first").unwrap();
    let failing = |value: u32| {
        wait_for("the gauge", || {
            let mut http = Http::on(TcpStream::connect(("127.0.0.1", admin)).unwrap());
            let answer = http.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
            answer.body.contains(&format!("\ncorecast_app_store_failing {value}\n")).then_some(())
        });
    };
    fs::write(folder.at("garbage"), "something else, for which SQLite has no name").unwrap();
    let rename = |from: &str, to: &str| fs::rename(folder.at(from), folder.at(to)).unwrap();
    let change = |text: &str| {
        let text = format!("BEGIN; {text}; COMMIT");
        rusqlite::Connection::open(folder.store()).unwrap().execute_batch(&text).unwrap();
    };
    let twin =
        "INSERT INTO apps VALUES (9, 'file', 1, 0); INSERT INTO keys VALUES ('file', 0, 'k', 's', 1, 0)";
    let no_twin = "DELETE FROM keys WHERE app_id = 'file'; DELETE FROM apps WHERE id = 'file'";
    let (fault, cure) = ("INSERT INTO settings VALUES ('1', 'cache_ttl_s', '0')", "DELETE FROM settings");
    // How it is spoiled, and mended: it has gone; something else has its name; an app in it is none; it has an app of the
    // file.
    let table: [[&dyn Fn(); 2]; 4] = [
        [&|| rename("apps.db", "aside.db"), &|| rename("aside.db", "apps.db")],
        [
            &|| {
                fs::copy(folder.store(), folder.at("aside.db")).unwrap();
                rename("garbage", "apps.db");
            },
            &|| rename("aside.db", "apps.db"),
        ],
        [&|| change(fault), &|| change(cure)],
        [&|| change(twin), &|| change(no_twin)],
    ];
    for [spoil, mend] in table {
        failing(0);
        spoil();
        failing(1);
        assert!(try_connect(&server, "first").is_ok() && try_connect(&server, "file-key").is_ok());
        client.expect_pong();
        mend();
    }
    failing(0);
    folder.said(&["add", "--app", "2:second:s"]);
    wait_for_clients(&server, "second", None);
    drop(client);
    assert_eq!(server.terminate().code(), Some(0));
    let told = server.take_errors();
    for (line, count) in [
        ("No such file", 1),
        ("file is not a database", 1),
        ("app \"1\": apps.cache_ttl_s = 0: must be between 1 and", 1),
        ("two apps have the id \"file\"", 1),
        ("; the apps stay as they were\n", 4),
        ("is read again\n", 4),
    ] {
        assert_eq!(told.matches(line).count(), count, "{line}: {told}");
    }
}

#[test]
fn apps_of_the_store_have_the_limits_of_the_file_as_sighup_has_read_them() {
    let folder = Folder::new("limits");
    folder.said(&["add", "--app", "1:first:s"]);
    folder.said(&["add", "--app", "2:second:s", "--limit", "connections_max=2"]);
    let server = folder.serve("3");
    let mut clients = ["first", "second"].map(|key| try_connect(&server, key).unwrap());
    let text = fs::read_to_string(folder.config()).unwrap();
    fs::write(folder.config(), format!("{text}\n[limits]\nconnections_max = 1\n")).unwrap();
    let sent = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap();
    assert!(sent.success());
    wait_for_clients(&server, "first", Some(4100));
    wait_for_clients(&server, "second", None);
    clients.iter_mut().for_each(Client::expect_pong);
}

/// How long 99 of 100 took at most.
fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99).div_ceil(100) - 1]
}

/// 200 apps, 1,000 busy connections of theirs, and meanwhile a key is rotated and apps are removed. How long events take is
/// printed, before and meanwhile: on a machine that does nothing else both are the same.
#[test]
fn a_thousand_busy_connections_do_not_notice_that_other_apps_come_and_go() {
    const APPS: usize = 200;
    const CONNECTIONS: usize = 1_000;
    const ROUNDS: usize = 10;
    let folder = Folder::new("busy");
    let file = folder.at("apps");
    let lines: String = (0..APPS).map(|app| format!("{app}:key-{app}:secret-{app}\n")).collect();
    fs::write(&file, lines).unwrap();
    folder.said(&["add", "--app-file", &file]);
    let server = folder.serve("3");
    // The last two apps are those that change.
    let app_of = |client: usize| client % (APPS - 2);
    let mut clients: Vec<Client> = (0..CONNECTIONS)
        .map(|client| try_connect(&server, &format!("key-{}", app_of(client))).unwrap())
        .collect();
    clients.iter_mut().for_each(|client| drop(client.subscribe("news")));
    // One of each app is heard while it goes on, the others afterwards.
    let mut heard: Vec<Client> = clients.drain(..APPS - 2).collect();
    let mut rotated = try_connect(&server, "key-198").unwrap();
    let mut removed = try_connect(&server, "key-199").unwrap();
    let mut http = server.http();
    let mut round = |number: usize, times: &mut Vec<Duration>| {
        for (app, client) in heard.iter_mut().enumerate() {
            let (id, key, secret) = (app.to_string(), format!("key-{app}"), format!("secret-{app}"));
            let (app, data, began) = (App::new(&id, &key, &secret), number.to_string(), Instant::now());
            assert_eq!(publish(&mut http, &app, "news", &data), 200);
            client.expect("news", "e", &data);
            times.push(began.elapsed());
        }
    };
    let (mut before, mut meanwhile) = (Vec::new(), Vec::new());
    (0..ROUNDS).for_each(|number| round(number, &mut before));
    let mut rounds = ROUNDS;
    thread::scope(|scope| {
        let changes = scope.spawn(|| {
            let key = folder.apps(&["rotate", "198"])[0]["keys"][1]["key"].as_str().unwrap().to_owned();
            wait_for_clients(&server, &key, None);
            folder.said(&["remove", "199"]);
            expect_gone(&mut removed);
            wait_for_clients(&server, "key-199", Some(4001));
            rotated.expect_pong();
        });
        while rounds < 2 * ROUNDS || !changes.is_finished() {
            round(rounds, &mut meanwhile);
            rounds += 1;
        }
        changes.join().unwrap();
    });
    for client in &mut clients {
        (0..rounds).for_each(|round| client.expect("news", "e", &round.to_string()));
        client.expect_pong();
    }
    let (before, meanwhile) = (p99(&mut before), p99(&mut meanwhile));
    let ratio = meanwhile.as_secs_f64() / before.as_secs_f64();
    println!(
        "p99 of an event from its call to its client: {before:?} before, {meanwhile:?} meanwhile, {ratio:.2} x"
    );
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
        (&["set", "1", "client_events=yes"], "apps.client_events must be true or false, not a string"),
        (
            &["set", "1", "--limit", "connections_max=0"],
            "apps.limits.connections_max = 0: must be between 1 and",
        ),
        (&["set", "2", "client_events=true"], "has no app with the id \"2\""),
        (&["unset", "1", "client_events"], "the app \"1\" does not set client_events"),
        (&["add", "--app", "1:other:s"], "has an app with the id \"1\" already"),
        (&["add", "--app", "2:first:s"], "has an app with the key \"first\" already"),
        (&["add", "file"], "the app \"file\" of the store has the id of an app in the configuration file"),
        (
            &["add", "--app", "2:file-key:s"],
            "the key \"file-key\" of the store is that of an app in the configuration file",
        ),
        (&["add", "a/b"], "apps.id contains '/'"),
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
