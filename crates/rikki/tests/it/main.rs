//! The server over real sockets: hostile and foreign clients, HTTP, both faces, deadlines and drain.

#[cfg(feature = "acme")]
mod acme;
mod admission;
mod async_face;
mod callbacks;
mod certificates;
mod client;
mod compression;
mod delivered;
mod drain;
mod endpoint;
mod examples;
mod files;
mod frames;
mod gone;
mod handshake;
mod http;
mod interop;
mod keepalive;
mod limits;
mod mistakes;
mod origin_host;
mod pressure;
mod proxy;
mod recorder;
mod reload;
mod slow;
mod talk;
mod topics;
mod unix;
mod wire;
