//! Servers that speak the protocols of object stores, private to one test: an S3 server in this process, moto (S3 with
//! versioning and object lock) and Azurite (Azure Blob) as programs, and a proxy that breaks connections. Nothing here
//! is shipped. `cargo xtask test` installs the programs; without them [`Moto::start`] and [`Azurite::start`] say so.

mod azurite;
mod child;
mod moto;
mod proxy;
mod s3;

pub use azurite::Azurite;
pub use moto::Moto;
pub use proxy::Proxy;
pub use s3::S3Server;
