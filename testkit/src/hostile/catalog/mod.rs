//! Every act there is, by what it abuses. An act's own file says what it does; the rule ids are the product's.

mod all;
mod blocks;
mod bodies;
mod frames;
mod handshake;
mod headers;
mod pages;
mod silence;
mod streams;

pub use all::catalog;
