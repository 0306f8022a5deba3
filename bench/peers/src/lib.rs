//! What is compared with, and what both sides of a comparison share.

pub mod clients;
pub mod codec;
pub mod ring;
pub mod timing;
pub mod tracking;
pub mod work;
