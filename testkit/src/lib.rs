//! Worlds, hostile peers and the tests of the whole house.

pub mod accuracy;
pub mod accuracy_cli;
pub mod architecture;
pub mod chain;
pub mod cluster;
pub mod disk;
pub mod hostile;
pub mod hostile_cli;
pub mod planted;
pub mod planted_cli;
pub mod sabotage;
pub mod sim;
pub mod stack;
pub mod stack_cli;
pub mod worlds;
pub mod worlds_cli;
