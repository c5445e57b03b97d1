//! The page that `sternline evidence html` makes, in a real browser: Chromium without a window.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sternline_tests::cli::Home;
use sternline_tests::left_out::left_out;

/// When the session of these tests began.
const BEGAN: f64 = 1_795_945_803_000.0;

/// What a page that took text for markup would run. Each would change the title.
const ATTACKS: [&str; 12] = [
    "<script>document.title='owned'</script>",
    "</script><script>document.title='owned'</script>",
    "</title></style></textarea></pre><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\" autofocus onfocus=\"document.title='owned'\" x=\"",
    "' onmouseover='document.title=1' x='",
    "<svg onload=document.title='owned'>",
    "<!--<script>document.title='owned'//-->",
    "<style>*{display:none}</style>",
    "<iframe srcdoc=\"<script>parent.document.title='owned'</script>\"></iframe>",
    "<a href=\"javascript:document.title='owned'\">x</a><base href=//evil.example>",
    "\u{202e}\u{0}]]>&lt;script&gt;\u{2028}<meta http-equiv=refresh content=0>",
];

/// A bundle in which every text is an attack, with ten thousand events of which three speak of a needle.
fn hostile() -> Value {
    let attack = |number: usize| ATTACKS[number % ATTACKS.len()];
    let kinds = ["EXEC", "AUTH", "ERROR", "CONNECT"];
    let events = (0..10_000).map(|number| {
        let text = match number % 4000 {
            17 => format!("a Needle & {}", attack(number)),
            _ => attack(number).to_owned(),
        };
        // All of it in the first hundred, enough of it in the others: the page stays small enough for a slow machine.
        let data = match number {
            0..100 => json!({"command": text, "message": text, "host": text, "key_path": text, "status": attack(number + 1),
                             "error": text, "error_message": text, "duration_ms": 3.0, attack(number): attack(number)}),
            _ => json!({"command": text, "message": text, "key_path": text}),
        };
        json!({"event_type": kinds[number % 4], "timestamp": BEGAN + number as f64, "data": data})
    });
    let all = ATTACKS.concat();
    json!({
        "version": "1.0", "created_ms": BEGAN, "events": events.collect::<Vec<_>>(),
        "algorithms": {"kex": all, "server_version": all},
        "disconnect_reason": "network_error",
        "timing": {"bundle_created_ms": BEGAN, "phases": [{"phase": all, "duration_ms": 5.0}]},
        "error_context": {"error_type": all, "message": all, "hint": all, "phase": all, "original_error": all},
        "configuration": {all.clone(): {"value": all, "source": all}},
        "host_info": {"host": all, "port": 22, "username": all, "redacted": false},
        "transcript": {"start_ms": BEGAN, "duration_ms": 1.0, "entry_count": 1, "entries": [
            {"timestamp_ms": BEGAN, "type": "output", "content": all, "duration_ms": 0.0, "metadata": {}}]},
        "commands": [{"command": all, "started_ms": BEGAN, "duration_ms": 1.0, "stdin_bytes": 0, "stdout": all,
                      "stdout_bytes": all.len(), "stderr": all, "stderr_bytes": all.len(), "exit_code": 1}],
    })
}

/// What the browser made of a page, once its script has run, and what it said meanwhile.
struct Seen {
    dom: String,
    log: String,
}

/// Whether there is a browser; without one that is noted.
fn has_browser() -> bool {
    let found = Command::new("chromium").arg("--version").output().is_ok();
    if !found {
        left_out(
            "pages of evidence in a browser",
            "install chromium, then cargo test -p sternline-tests --test evidence_page",
        );
    }
    found
}

fn open(home: &Home, page: &Path, fragment: &str) -> Seen {
    open_with(home, page, fragment, &[])
}

fn open_with(home: &Home, page: &Path, fragment: &str, options: &[&str]) -> Seen {
    let profile = tempfile::tempdir().unwrap();
    let output = home
        .command("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ])
        .args(options)
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}{fragment}", page.display()))
        .output()
        .unwrap();
    let seen = Seen {
        dom: String::from_utf8(output.stdout).unwrap(),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(
        seen.dom.contains("</html>"),
        "the browser showed nothing: {}",
        seen.log
    );
    seen
}

impl Seen {
    /// What stands between two texts, the first of them once.
    fn between(&self, start: &str, end: &str) -> &str {
        let (_, rest) = self
            .dom
            .split_once(start)
            .unwrap_or_else(|| panic!("{start} is not there"));
        rest.split_once(end).unwrap().0
    }

    fn title(&self) -> &str {
        self.between("<title>", "</title>")
    }

    fn hits(&self) -> &str {
        let output = self.between("<output id=\"hits\"", "</output>");
        output.split_once('>').unwrap().1
    }

    /// How many of the rows that can be searched are shown, and how many are not.
    fn rows(&self) -> (usize, usize) {
        let (_, body) = self.dom.split_once("<main").unwrap();
        let all = body.matches(" data-row=\"\"").count();
        let hidden = body.matches(" data-row=\"\" hidden=\"\"").count();
        (all - hidden, hidden)
    }

    fn violations(&self) -> Vec<&str> {
        let lines = self.log.lines();
        lines
            .filter(|line| line.contains("Content Security Policy"))
            .collect()
    }
}

/// Writes the page of a bundle.
fn page_of(home: &Home, bundle: &Value) -> std::path::PathBuf {
    home.write("bundle.json", bundle.to_string());
    let ended = home.run(["evidence", "html", "bundle.json", "-o", "page.html"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    home.path().join("page.html")
}

#[test]
fn a_hostile_bundle_runs_nothing_and_its_ten_thousand_events_are_searched() {
    if !has_browser() {
        return;
    }
    let home = Home::new();
    let page = page_of(&home, &hostile());

    let all = open(&home, &page, "");
    assert!(
        all.title().starts_with("&lt;script&gt;document.title="),
        "{}",
        all.title()
    );
    assert_eq!(all.hits(), "10002 entries");
    assert_eq!(all.rows(), (10_002, 0));
    assert!(all.violations().is_empty(), "{:?}", all.violations());
    for element in [
        "<img",
        "<iframe",
        "<base",
        "<a href=\"java",
        "<svg onload",
        "http-equiv=\"refresh",
    ] {
        assert!(!all.dom.contains(element), "{element}");
    }
    assert_eq!(all.dom.matches("<script").count(), 1, "only our own");
    assert_eq!(all.dom.matches("<style").count(), 1, "only our own");

    let found = open(&home, &page, "#q=needle%20%26");
    assert_eq!(found.hits(), "3 of 10002 entries");
    assert_eq!(found.rows(), (3, 9_999));
    assert!(
        found.title().starts_with("&lt;script&gt;document.title="),
        "{}",
        found.title()
    );
    assert!(found.violations().is_empty(), "{:?}", found.violations());

    let none = open(
        &home,
        &page,
        "#q=%22%3E%3Cscript%3Edocument.title%3D1%3C%2Fscript%3Enowhere",
    );
    assert_eq!(none.rows(), (0, 10_002));
    assert_eq!(none.dom.matches("<script").count(), 1);
}

#[test]
fn even_a_script_in_the_page_would_not_run_and_nothing_would_be_loaded() {
    if !has_browser() {
        return;
    }
    let home = Home::new();
    let mut bundle = hostile();
    bundle["events"] = json!([]);
    let page = page_of(&home, &bundle);
    // As if the encoding had failed: what the tests above look for is found, and the policy stops it.
    let text = std::fs::read_to_string(&page).unwrap();
    let broken = text.replace(
        "</main>",
        "</main><script>document.title='owned'</script><img src=\"/nowhere.png\"><p style=\"color:red\">x</p>",
    );
    assert_ne!(text, broken);
    let broken = home.write("broken.html", broken);
    let seen = open(&home, &broken, "");
    assert!(
        !seen.title().contains("owned'</script") && seen.title().starts_with("&lt;script"),
        "{}",
        seen.title()
    );
    assert!(seen.violations().len() >= 3, "{}", seen.log);
    // And without the policy it would have run, so the title does tell.
    let open_to_all = home.write(
        "open.html",
        std::fs::read_to_string(&broken)
            .unwrap()
            .replace("Content-Security-Policy", "x"),
    );
    assert_eq!(open(&home, &open_to_all, "").title(), "owned");
}

#[test]
fn a_narrow_page_does_not_scroll_sideways() {
    if !has_browser() {
        return;
    }
    let home = Home::new();
    let mut bundle = hostile();
    bundle["events"].as_array_mut().unwrap().truncate(40);
    let text = std::fs::read_to_string(page_of(&home, &bundle)).unwrap();
    let measured = text.replace("Content-Security-Policy", "x").replace(
        "</body>",
        "<script>document.title = document.documentElement.scrollWidth - document.documentElement.clientWidth</script></body>",
    );
    let measured = home.write("measured.html", measured);
    // A window of its own is never that narrow; a frame is.
    let frame = home.write(
        "frame.html",
        "<iframe id=f src=measured.html width=400 height=800></iframe><script>f.onload = () => \
         document.title = 'wider by ' + f.contentDocument.title</script></html>",
    );
    assert!(measured.exists());
    let seen = open_with(&home, &frame, "", &["--allow-file-access-from-files"]);
    assert_eq!(seen.title(), "wider by 0");
}

#[test]
fn the_page_says_everything_without_its_script() {
    let home = Home::new();
    let mut bundle = hostile();
    bundle["events"].as_array_mut().unwrap().truncate(40);
    let text = std::fs::read_to_string(page_of(&home, &bundle)).unwrap();
    let (before, _) = text.rsplit_once("<script>").unwrap();
    assert!(
        before.contains("a Needle &amp; "),
        "the events stand in the page itself"
    );
    assert!(
        before.contains(" id=\"search\" class=\"search\" role=\"search\" hidden=\"\""),
        "no search that does nothing"
    );
    for heading in [
        "What went wrong",
        "The connection",
        "Events",
        "Transcript",
        "Recorded commands",
    ] {
        assert!(before.contains(&format!(">{heading}</h2>")), "{heading}");
    }
    for way in ["http://", "https://", " src=", "url(", "@import"] {
        let ours = before.replace("data", "");
        assert!(
            !ours.contains(&format!("<link{way}")) && !ours.contains(&format!("<img{way}")),
            "{way}"
        );
    }
    assert_eq!(
        text.matches("<caption>").count(),
        text.matches("<table").count(),
        "every table has a caption"
    );
}
