//! Peers of connections, as the shares of places count them.

use std::net::{IpAddr, SocketAddr};

/// One peer: an address, of IPv6 the network of 64 bits that one host may choose from; or this host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Peer {
    /// An address of IPv4.
    V4(u32),
    /// The first 64 bits of an address of IPv6.
    V6(u64),
    /// This host, by way of a Unix socket.
    Local,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_one_host_may_choose_from_are_one_peer() {
        let peer = |address: &str| Peer::from(address.parse::<SocketAddr>().unwrap());
        assert_eq!(peer("10.0.0.1:1"), peer("10.0.0.1:2"));
        assert_eq!(peer("10.0.0.1:1"), peer("[::ffff:10.0.0.1]:1"));
        assert_ne!(peer("10.0.0.1:1"), peer("10.0.0.2:1"));
        assert_eq!(peer("[2001:db8:0:1::1]:1"), peer("[2001:db8:0:1:ffff::9]:1"));
        assert_ne!(peer("[2001:db8:0:1::1]:1"), peer("[2001:db8:0:2::1]:1"));
    }
}
