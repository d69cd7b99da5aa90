//! A WebSocket server.
