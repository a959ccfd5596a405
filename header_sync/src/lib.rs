//! Header sync: checkpoint segments, tip following, reorgs.
