//! The server over real sockets: hostile and foreign clients, HTTP, both faces, deadlines and drain.

mod files;
mod frames;
mod pressure;
mod talk;
mod wire;
