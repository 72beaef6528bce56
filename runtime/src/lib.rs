//! Artifacts, keys, client, server and execution of programs.
