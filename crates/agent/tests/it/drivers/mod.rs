//! The drivers with their real data services.

mod command;
mod files;
mod mariadb;
mod postgresql;
mod postgresql_leftovers;
mod postgresql_unhappy;
mod rabbitmq;
mod redis;
