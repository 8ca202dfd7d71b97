//! What the files of other servers come to: fixtures, and tables of faults.

use super::*;
use crate::config::{Config, Layer};

const MEMORY: Option<u64> = Some(1_000_000_000);

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/moving").join(name)
}

fn translated(soketi_file: Option<&str>, compat: Option<Compat>, env_file: Option<&str>) -> Vec<Translation> {
    let (soketi_file, env_file) = (soketi_file.map(fixture), env_file.map(fixture));
    let translations =
        translate_on(MEMORY, soketi_file.as_deref(), compat, std::iter::empty(), env_file.as_deref());
    translations.unwrap_or_else(|fault| panic!("{fault}"))
}

/// Our settings in TOML, and a line for each key without effect.
fn told(translations: &[Translation]) -> String {
    let mut told = String::new();
    let start = format!("{}/", fixture("").display());
    for translation in translations {
        told.push_str(translation.layer().text());
        for IgnoredKey { place, why, .. } in &translation.ignored {
            told.push_str(&format!("# {place}: {why}\n"));
        }
    }
    told.replace(&start.replace("//", "/"), "")
}

#[test]
fn the_files_of_other_servers_come_to_settings_of_ours() {
    let cases = [
        ("soketi.json.txt", Some("soketi.json"), None, None),
        ("soketi.env.txt", None, Some(Compat::Soketi), Some("soketi.env")),
        ("reverb.env.txt", None, Some(Compat::Reverb), Some("reverb.env")),
        ("pusher.env.txt", None, Some(Compat::Pusher), Some("pusher.env")),
    ];
    for (snapshot, file, compat, env_file) in cases {
        let translations = translated(file, compat, env_file);
        let layers: Vec<Layer> = translations.iter().map(Translation::layer).collect();
        let layers: Vec<&Layer> = layers.iter().collect();
        let config =
            Config::parse_below("", "", &layers).unwrap_or_else(|fault| panic!("{snapshot}: {fault}"));
        assert_eq!(&*config.apps[0].oldest_key().name, "sdk-key", "{snapshot}");
        let told = told(&translations);
        assert!(!told.contains("hunter2"), "{told}");
        let path = fixture(snapshot);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &told).unwrap();
        }
        assert_eq!(told, fs::read_to_string(&path).unwrap_or_default(), "{snapshot}");
    }
}

fn faults(text: &str) -> String {
    let mut keys = Keys::default();
    let fault = add_file(&mut keys, "s.json", text).and_then(|()| soketi::translate(keys).map(drop));
    fault.map_or_else(|fault| fault.to_string(), |()| "fine".to_owned())
}

#[test]
fn a_bad_value_of_soketi_is_named_with_its_line_and_key() {
    let app =
        |more: &str| format!("{{\n\"appManager.array.apps\": [{{\"id\": \"1\", \"key\": \"k\"{more}}}]}}");
    let table = [
        ("{", "s.json: this is not a file of soketi's: JSON is not well formed, or has a key twice"),
        ("[]", "s.json: this is not a file of soketi's: a JSON object is needed"),
        ("{\"port\": \"tcp://10.0.0.1:6001\"}", "s.json:1: port: must be a port, from 0 to 65535"),
        (
            "{\n\"host\": \"soketi\"}",
            "s.json:2: host: must be an IP address, such as 0.0.0.0 or 127.0.0.1, not a name",
        ),
        ("{\"ssl\": {\n\"certPath\": \"a.pem\"}}", "s.json:2: ssl.certPath: needs ssl.keyPath beside it"),
        ("{\"metrics\": {\"enabled\": \"maybe\"}}", "s.json:1: metrics.enabled: must be true or false"),
        (
            "{\"presence\": {\"maxMembersPerChannel\": []}}",
            "s.json:1: presence.maxMembersPerChannel: must be a number",
        ),
        (
            &app(""),
            "s.json:2: appManager.array.apps.0.id: this app has no secret, and there is no built-in one: an app needs id, key and secret",
        ),
        (
            &app(", \"secret\": \"hunter2\", \"webhooks\": 1"),
            "s.json:2: appManager.array.apps.0.webhooks: must be a list of webhooks",
        ),
        (
            &app(
                ", \"secret\": \"hunter2\", \"webhooks\": [{\"url\": \"http://h/\", \"event_types\": [\"x\"]}]",
            ),
            "s.json:2: appManager.array.apps.0.webhooks: event_types: names no kind of event; there are client_event, channel_occupied, channel_vacated, member_added, member_removed, cache_miss",
        ),
        (&app(", \"secret\": \"hunter2\", \"webhooks\": []"), "fine"),
    ];
    for (text, said) in table {
        assert_eq!(faults(text), said, "{text}");
    }
}

#[test]
fn a_variable_of_soketi_wins_over_its_file_and_the_process_over_the_file_of_variables() {
    let process = [("SOKETI_DEFAULT_APP_KEY", "another-key"), ("SOKETI_PORT", "tcp://10.0.0.1:6001")];
    let process = process.into_iter().map(|(name, value)| (name.into(), value.into()));
    let (file, env_file) = (fixture("soketi.json"), fixture("soketi.env"));
    let read = translate(Some(&file), Some(Compat::Soketi), process, Some(&env_file)).unwrap();
    let [translation] = &read[..] else { panic!("{read:?}") };
    let text = translation.layer().text().to_owned();
    assert!(text.contains("key = \"another-key\"") && text.contains("key = \"other-key\""), "{text}");
    assert!(text.contains("authorization_timeout_s = 5"), "{text}");
    // What Kubernetes sets for a Service called soketi is no port.
    assert!(text.contains("listen = [\"0.0.0.0:6001\"]"), "{text}");
}

#[test]
fn the_port_of_soketi_is_one_with_tls_where_it_has_a_certificate() {
    let mut keys = Keys::default();
    add_file(&mut keys, "s", "{\"port\": 7, \"ssl\": {\"certPath\": \"c.pem\", \"keyPath\": \"k.pem\"}}")
        .unwrap();
    let translation = soketi::translate(keys).unwrap();
    let wanted = "listen = []\ntls.listen = [\"0.0.0.0:7\"]\ntls.cert = \"c.pem\"\ntls.key = \"k.pem\"\n";
    assert_eq!(translation.layer().text(), wanted);
    let read = Config::parse_below("", "", &[&translation.layer()]).unwrap();
    assert_eq!((read.tls.listen.len(), read.listen.public.len()), (1, 0));
}

#[test]
fn variables_of_another_server_that_nobody_reads_are_one_line() {
    let variables =
        [("REVERB_APP_ID", "1"), ("SOKETI_PORT", "7"), ("SOKETI_SERVICE_HOST", "10.0.0.1"), ("A", "1")];
    let process = || variables.into_iter().map(|(name, value)| (name.into(), value.into()));
    let told = unread(None, process(), None).unwrap().unwrap();
    assert_eq!(told.key, "REVERB_APP_ID, SOKETI_PORT");
    assert_eq!(told.place, "REVERB_APP_ID and 1 more variables of other servers");
    assert_eq!(told.why, "--compat reverb or --compat soketi reads them");
    assert_eq!(unread(Some(Compat::Soketi), process(), None), Ok(None));
    assert_eq!(unread(None, process().skip(2), None), Ok(None));
    let of_file = unread(None, std::iter::empty(), Some(&fixture("pusher.env"))).unwrap().unwrap();
    assert_eq!(of_file.why, "--compat pusher reads them");
}

#[test]
fn variables_of_reverb_and_pusher_may_name_others() {
    let variables = |text: &str| file_variables("e", text).unwrap();
    let url = "PUSHER_URL=http://k:s3@api.example.com/apps/12";
    let app = of_variables(Compat::Pusher, &variables(url), None).unwrap().apps.remove(0);
    let values: Vec<_> = app.settings.iter().map(|setting| &*setting.value).collect();
    assert_eq!(values, ["\"12\"", "\"k\"", "\"s3\""]);
    let short = "PUSHER_APP_ID=1\nPUSHER_KEY=k\nPUSHER_SECRET=\"${OTHER}-${NONE}\"\nOTHER=s";
    let app = of_variables(Compat::Pusher, &variables(short), None).unwrap().apps.remove(0);
    assert_eq!(app.settings[2].value, "\"s-${NONE}\"");
    let missing =
        of_variables(Compat::Reverb, &variables("REVERB_APP_ID=1\nREVERB_APP_KEY=k"), None).unwrap_err();
    let said = "e:1: REVERB_APP_ID: REVERB_APP_SECRET is missing: an app needs an id, a key and a secret";
    assert_eq!(missing.to_string(), said);
    let reverb = "PUSHER_APP_ID=1\nREVERB_APP_ID=2\nBROADCAST_CONNECTION=";
    for (used, compat) in [("reverb", Compat::Reverb), ("pusher", Compat::Pusher), ("log", Compat::Reverb)] {
        assert_eq!(Compat::of_variables(&variables(&format!("{reverb}{used}"))), Some(compat));
    }
}

#[test]
fn a_migrated_file_says_the_same_and_tells_what_it_is_from() {
    for name in ["soketi.json", "soketi.env", "reverb.env", "pusher.env"] {
        let path = fixture(name);
        let text = migrate_on(MEMORY, &path, None).unwrap();
        let read = Config::parse("x", &text).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
        let compat = if is_soketi_file(&path) {
            None
        } else {
            Compat::of_variables(&all_variables(std::iter::empty(), Some(&path)).unwrap())
        };
        let (file, env_file) = if compat.is_none() { (Some(name), None) } else { (None, Some(name)) };
        let translations = translated(file, compat, env_file);
        let layers: Vec<Layer> = translations.iter().map(Translation::layer).collect();
        let served = Config::parse_below("", "", &layers.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{served:?}"), "{name}");
        for IgnoredKey { key, why, .. } in translations.iter().flat_map(|translation| &translation.ignored) {
            assert!(text.contains(&format!("# {key}: {why}\n")), "{key}\n{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
    let refused = migrate(Path::new("config/reverb.php"), None).unwrap_err().to_string();
    assert!(refused.contains("a program is not read"), "{refused}");
}

#[test]
fn the_page_has_a_row_for_every_key() {
    let page = include_str!("../../../../docs/migrating.md");
    let rows = soketi_keys::ROWS.iter().map(|row| (row.path, row.variable, Some(row.fate)));
    let apps = soketi_keys::APP_ROWS.iter().map(|row| (row.name, row.variable, None));
    for (path, variable, fate) in rows.chain(apps) {
        let variable = variable.map_or_else(|| "  ".to_owned(), |name| format!(" `{name}` "));
        let row = page.lines().find(|line| line.starts_with(&format!("| `{path}` |{variable}|")));
        let row = row.unwrap_or_else(|| panic!("no row for {path}{variable}"));
        if let Some(soketi_keys::Fate::Ignored(why)) = fate {
            assert!(row.ends_with(&format!("| ignored: {why} |")), "{row}");
        }
    }
    for name in laravel::TAKEN {
        assert!(page.contains(&format!("\n| `{name}` | ")), "{name}");
    }
    for (name, why) in laravel::IGNORED {
        assert!(page.contains(&format!("\n| `{name}` | ignored: {why} |\n")), "{name}");
    }
}
