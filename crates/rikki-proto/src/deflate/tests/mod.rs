//! Tests of the extension: the handshake, both codecs, and what a hostile peer sends.
