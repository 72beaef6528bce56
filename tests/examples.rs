//! The examples that show the library, run as tests.

#[path = "../examples/client_server.rs"]
#[expect(dead_code, reason = "`main` prints what the test looks at")]
mod client_server;
#[path = "../examples/quickstart.rs"]
#[expect(dead_code, reason = "`main` prints what the test looks at")]
mod quickstart;

/// The labels of the first three test images.
const LABELS: [Option<usize>; 3] = [Some(7), Some(6), Some(3)];

#[test]
fn quickstart_classifies_digits() {
    assert_eq!(quickstart::classify().unwrap(), LABELS);
}

#[test]
fn client_and_server_talk_over_a_socket() {
    assert_eq!(client_server::classify().unwrap(), LABELS);
}
