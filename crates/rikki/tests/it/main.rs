//! The server over real sockets: hostile and foreign clients, HTTP, both faces, deadlines and drain.

#[cfg(feature = "acme")]
mod acme;
#[cfg(feature = "admin")]
mod admin;
mod admission;
mod async_face;
mod callbacks;
mod certificates;
mod client;
mod client_routes;
mod compression;
mod delivered;
mod drain;
mod endpoint;
mod examples;
mod files;
mod frames;
mod gone;
mod group;
mod handshake;
mod http;
mod in_memory;
mod interop;
mod keepalive;
mod layers;
mod limits;
mod logs;
mod mistakes;
mod origin_host;
#[cfg(unix)]
mod passed;
mod pressure;
mod proxy;
#[cfg(unix)]
mod reconnect;
mod recorder;
mod reload;
mod slow;
mod talk;
mod topics;
mod unix;
mod wire;
