//! Block sync: parallel bodies, in-order commit.
