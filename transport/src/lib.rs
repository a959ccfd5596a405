//! Peers, streams and supervised routines over QUIC. Knows no chain word.
