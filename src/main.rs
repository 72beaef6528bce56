//! The `pic` command.

fn main() {}
