//! The protocol core through its public face: what a peer sends, in any cuts, and what it is told.
//!
//! `wire` writes and reads frames by the letter of RFC 6455, `model` predicts what a receiver must make of them,
//! `delivery` feeds a stream in every cut, `strategies` draws streams at random and `pair` joins two ends in memory.
//! The other modules hold the tests, one feature each. The opening handshake is tested beside its code.

mod closing;
mod compression;
mod conversations;
mod delivery;
mod filling;
mod limits;
mod masking;
mod memory;
mod model;
mod output;
mod pair;
mod prepared;
mod refusals;
mod sending;
mod strategies;
mod streams;
mod text;
mod wire;
