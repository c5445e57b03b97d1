//! Fixtures for the tests against real peers.
