//! MariaDB, Redis and RabbitMQ servers of one's own, for tests of the agent's drivers: each in a temporary directory, on
//! the loopback interface, gone when its owner is gone (also after `kill -9`).
//!
//! They are Debian's server programs and are talked to through their own client programs, so nothing here shares code
//! with what is tested. What they have in common is in `place.rs`.

mod mariadb;
mod place;
mod programs;
mod rabbitmq;
mod redis;

pub use mariadb::Mariadb;
pub use programs::missing_packages;
pub use rabbitmq::Rabbitmq;
pub use redis::Redis;
