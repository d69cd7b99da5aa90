//! The server over real sockets: hostile and foreign clients, HTTP, both faces, deadlines and drain.

mod files;
mod foreign;
mod frames;
mod handshake;
mod http;
mod limits;
mod origin_host;
mod pressure;
mod talk;
mod wire;
