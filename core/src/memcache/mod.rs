//! The memcache text protocol.
