//! `zakura id`: the node's identity.

use serde::Serialize;
use zakura_transport::Identity;

use super::{Edge, Failure, args::IdArgs};

/// Prints the identity in `DIR/identity/NETWORK.key`, which is created if it is not there.
///
/// # Errors
///
/// The key file cannot be read or written, or is no key of ours.
pub fn execute(args: &IdArgs, edge: &Edge) -> Result<(), Failure> {
    let identity = Identity::load_or_create(&args.data_dir, args.network.name()).map_err(Failure::work)?;
    let node_id = identity.peer_id().to_string();
    edge.output.line(&Id { node_id: &node_id }, &node_id)
}

/// What `id` answers.
#[derive(Serialize)]
struct Id<'a> {
    node_id: &'a str,
}
