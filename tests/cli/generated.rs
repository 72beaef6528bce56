//! What is made from the description of the command line: completions and manual pages.

use std::fs;

use super::command::{COMMANDS, fail, json, pic, succeed};
use super::files::{copies, fresh_folder};

#[test]
fn every_shell_completes_every_command() {
    let folder = fresh_folder("completions");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = succeed(&folder, &format!("completions {shell}")).stdout;
        let words: Vec<&str> = script.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        for command in COMMANDS {
            assert!(words.contains(&command), "{shell}: {command}");
        }
        assert_eq!(json(&folder, &format!("completions {shell}"))["script"], script);
    }
    assert_eq!(pic(&folder, ["completions", "tcsh"]).code, Some(2));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = fresh_folder("manual");
    let report = json(&folder, "man .");
    assert_eq!(report["pages"].as_array().unwrap().len(), COMMANDS.len() + 1);
    let page = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let overview = page("pic.1");
    for command in COMMANDS {
        assert!(overview.contains(&format!("pic\\-{command}(1)")), "{overview}");
        let page = page(&format!("pic-{command}.1"));
        let title = format!(".TH pic-{command} 1  \"pic {}\"", env!("CARGO_PKG_VERSION"));
        for part in [title, "Example".into(), "\\-\\-json".into()] {
            assert!(page.contains(&part), "no `{part}` in {page}");
        }
    }
    // Older pages are replaced.
    let before = fs::read(folder.join("pic.1")).unwrap();
    fs::write(folder.join("pic.1"), "old").unwrap();
    assert!(succeed(&folder, "man .").stdout.contains("14 pages"));
    assert_eq!(fs::read(folder.join("pic.1")).unwrap(), before);
    assert!(fail(&folder, "man missing").contains("pic::file"));
}

/// A key under the name of a page stays, and no other page is written.
#[test]
fn no_page_replaces_a_secret_key() {
    let folder = copies("manual-key", &["model.secret"]);
    fs::rename(folder.join("model.secret"), folder.join("pic-run.1")).unwrap();
    let key = fs::read(folder.join("pic-run.1")).unwrap();
    assert!(fail(&folder, "man .").contains("pic::file::secret_key"));
    assert!(fs::read(folder.join("pic-run.1")).unwrap() == key);
}
