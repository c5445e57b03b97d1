//! The benchmark runs, and says what it is supposed to say. How fast anything was is not looked at.

use std::process::Command;

use serde_json::Value;
use sternline_tests::left_out::left_out;

fn peers(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
    command.args(arguments);
    command
}

#[test]
fn every_peer_is_measured_at_every_work_or_said_to_be_left_out() {
    let output = peers(&["--quick", "--json", "--stream"]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["rounds"], 1);
    let missing = report["left_out"].as_array().unwrap();
    for peer in missing {
        left_out(
            &format!("{} in the benchmark", peer["peer"]),
            "install it for python3, or name another Python in STERNLINE_TEST_PYTHON",
        );
    }
    let measured = report["measured"].as_array().unwrap();
    let works: Vec<_> = measured.iter().map(|measured| &measured["work"]).collect();
    assert_eq!(works, ["exec", "connect", "stream"]);
    for measured in measured {
        let peers = measured["peers"].as_array().unwrap();
        assert_eq!(peers.len() + missing.len(), 6);
        for peer in peers {
            assert!(peer["time_ms"]["median"].as_f64().unwrap() > 0.0, "{peer}");
            assert!(
                peer["time_ratio_of_current_thread"].as_f64().unwrap() > 0.0,
                "{peer}"
            );
            assert!(
                peer["time_ratio_of_multi_thread"].as_f64().unwrap() > 0.0,
                "{peer}"
            );
            assert!(peer["cpu_ms"]["max"].as_f64().unwrap() >= 0.0, "{peer}");
        }
    }
}

#[test]
fn every_peer_forwards_every_kind_of_traffic() {
    let output = peers(&["--quick", "--json", "--forwards"]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let missing = report["left_out"].as_array().unwrap();
    for peer in missing {
        left_out(
            &format!("{} in the benchmark of forwards", peer["peer"]),
            "install it for python3, or name another Python in STERNLINE_TEST_PYTHON",
        );
    }
    let measured = report["measured"].as_array().unwrap();
    let works: Vec<_> = measured.iter().map(|measured| &measured["work"]).collect();
    assert_eq!(
        works,
        ["forward-down", "forward-up", "forward-short", "forward-short-100"]
    );
    for measured in measured {
        let peers = measured["peers"].as_array().unwrap();
        assert_eq!(peers.len() + missing.len(), 4);
        for peer in peers {
            assert!(peer["time_ms"]["median"].as_f64().unwrap() > 0.0, "{peer}");
            assert!(peer["failed"].is_u64(), "{peer}");
        }
    }
}

#[test]
fn every_peer_moves_files_in_every_way() {
    let output = peers(&["--quick", "--json", "--files"]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let measured = report["measured"].as_array().unwrap();
    let works: Vec<_> = measured.iter().map(|measured| &measured["work"]).collect();
    assert_eq!(
        works,
        [
            "file-down",
            "file-up",
            "tree-down-new",
            "tree-up-new",
            "tree-down-existing",
            "tree-up-existing",
            "file-down-50ms",
            "file-up-50ms"
        ]
    );
    for measured in measured {
        for peer in measured["peers"].as_array().unwrap() {
            assert!(peer["time_ms"]["median"].as_f64().unwrap() > 0.0, "{peer}");
            assert!(peer["time_ratio_of_sternline"].as_f64().unwrap() > 0.0, "{peer}");
            assert!(peer["memory_mib"]["max"].is_f64(), "{peer}");
        }
    }
}

#[test]
fn every_way_of_waiting_for_output_is_measured_against_reading_it() {
    let output = peers(&["--quick", "--json", "--expect"]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let measured = report["measured"].as_array().unwrap();
    assert_eq!(measured.len(), 1);
    let ways = measured[0]["peers"].as_array().unwrap();
    assert_eq!(ways.len(), 7);
    for way in ways {
        assert!(way["time_ratio_of_reading"].as_f64().unwrap() > 0.0, "{way}");
        assert!(way["memory_mib"]["max"].as_f64().unwrap() > 0.0, "{way}");
    }
}

#[test]
fn an_unknown_argument_is_named() {
    let output = peers(&["--fast"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--fast"));
}
