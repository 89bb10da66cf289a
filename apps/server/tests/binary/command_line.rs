//! Subcommands, options and exit codes.

use std::fs;

use jsonwebtoken::{DecodingKey, Validation, decode};
use serde_json::Value;

use crate::{ConfigFile, SECRET, WITH_SECRET, run};

#[test]
fn help_and_version_are_answered_on_the_standard_output() {
    let version = run(&["--version"], &[]);
    assert_eq!(version.code, Some(0));
    assert_eq!(version.stdout, concat!("game-realtime ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = run(&["--help"], &[]);
    assert_eq!(help.code, Some(0));
    for word in ["serve", "check-config", "print-config", "token", "healthcheck", "--config"] {
        assert!(help.stdout.contains(word), "{word}");
    }
}

#[test]
fn bad_usage_is_exit_code_2() {
    for arguments in [
        &["bogus"][..],
        &["--bogus"],
        &["--config"],
        &["token"],
        &["token", "--user", ""],
        &["token", "--user", "alice", "--ttl", "soon"],
        &["check-config", "extra"],
    ] {
        let run = run(arguments, &[WITH_SECRET]);
        assert_eq!(run.code, Some(2), "{arguments:?}");
        assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_configuration_that_cannot_be_used_is_exit_code_2_for_every_command() {
    for arguments in [
        &[][..],
        &["serve"],
        &["check-config"],
        &["print-config"],
        &["token", "--user", "alice"],
        &["healthcheck"],
    ] {
        let run = run(arguments, &[]);
        assert_eq!(run.code, Some(2), "{arguments:?}");
        assert!(run.stderr.starts_with("auth.jwt.secret: missing"), "{arguments:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{arguments:?}");
    }
}

#[test]
fn check_config_says_that_a_configuration_can_be_used() {
    let good = run(&["check-config"], &[WITH_SECRET]);
    assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""));
    assert_eq!(run(&["check-config", "--config", "config/dev.toml"], &[]).code, Some(0));
}

#[test]
fn the_config_option_may_stand_anywhere() {
    let file = ConfigFile::new("http.port = 1234");
    let option = format!("--config={}", file.as_str());
    for arguments in [
        &["--config", file.as_str(), "print-config"][..],
        &["print-config", "--config", file.as_str()],
        &[&option, "print-config"],
        &["print-config", &option],
    ] {
        let run = run(arguments, &[WITH_SECRET]);
        assert_eq!(run.code, Some(0), "{arguments:?}");
        assert!(run.stdout.contains("http.port = 1234"), "{arguments:?}");
    }
}

#[test]
fn a_configuration_file_that_cannot_be_read_is_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let missing = format!("{path}/missing.toml");
    for (path, reason) in [
        (missing.as_str(), "No such file or directory (os error 2)"),
        (path, "Is a directory (os error 21)"),
    ] {
        let by_option = run(&["check-config", "--config", path], &[]);
        assert_eq!(by_option.code, Some(2));
        let expected = format!("{path}: cannot be read: {reason} (file named by --config)\n");
        assert_eq!(by_option.stderr, expected);
        let by_variable = run(&["check-config"], &[("GAME_REALTIME_CONFIG", path)]);
        assert_eq!(by_variable.code, Some(2));
        assert!(by_variable.stderr.ends_with("(file named by GAME_REALTIME_CONFIG)\n"));
    }
}

#[test]
fn a_configuration_file_that_is_not_toml_is_one_clear_line_without_its_text() {
    for text in [
        format!("[auth.jwt]\nsecret = \"{SECRET}\n"),
        format!("[auth.jwt]\nsecret = {SECRET}\n"),
        format!("[auth.jwt]\nsecret = \"{SECRET}\" x\n"),
        format!("[auth.jwt]\nsecret = \"{SECRET}\"\nsecret = \"{SECRET}\"\n"),
        format!("[auth.jwt]\nsecret = \"\"\"\n{SECRET}"),
        format!("[auth.jwt]\n\"{SECRET}\"\n"),
    ] {
        let file = ConfigFile::new(&text);
        let run = run(&["check-config", "--config", file.as_str()], &[]);
        assert_eq!(run.code, Some(2), "{text}");
        let expected = format!("{}: TOML parse error at line ", file.as_str());
        assert!(run.stderr.starts_with(&expected), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    }
    let file = ConfigFile::new("");
    fs::write(&file.path, [0xff, 0xfe]).unwrap();
    let run = run(&["check-config", "--config", file.as_str()], &[]);
    assert!(run.stderr.contains("cannot be read: stream did not contain valid UTF-8"));
    assert_eq!((run.code, run.stderr.lines().count()), (Some(2), 1));
}

#[test]
fn a_minted_token_is_all_that_is_printed_and_verifies() {
    let issued_by = ("GAME_REALTIME__AUTH__JWT__ISSUER", "game");
    let audience = ("GAME_REALTIME__AUTH__JWT__AUDIENCE", "gateway");
    for (arguments, ttl) in [
        (&["token", "--user", "älice"][..], 3600),
        (&["token", "--user", "älice", "--ttl", "90s"], 90),
    ] {
        let run = run(arguments, &[WITH_SECRET, issued_by, audience]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        let token = run.stdout.strip_suffix('\n').unwrap();
        let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
        validation.set_issuer(&["game"]);
        validation.set_audience(&["gateway"]);
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let claims = decode::<Value>(token, &key, &validation).unwrap().claims;
        assert_eq!(claims["sub"], "älice");
        let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
        assert!((ttl..=ttl + 1).contains(&lifetime), "{lifetime}");
    }
}

#[test]
fn a_token_needs_a_shared_secret() {
    let mode = ("GAME_REALTIME__AUTH__MODE", "trusted_header");
    let run = run(&["token", "--user", "alice"], &[mode]);
    assert_eq!(run.code, Some(2));
    assert_eq!(run.stderr, "auth.mode is not jwt, tokens are not read\n");
    assert!(run.stdout.is_empty());
}
